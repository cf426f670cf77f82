"""The report of a log: what it holds, what was set aside, and what became of it."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from components.example_gen.events import CLICK, SHOWN
from components.example_gen.file_report import FileReport
from components.example_gen.readers.kuaisar import REC
from components.example_gen.settings import LogSettings
from components.example_gen.splits import Cuts

FILE_NAME = "log_report.json"


def make_report(
    settings: LogSettings, files: Iterable[FileReport], counts: Iterable[dict[str, int]],
    items: Iterable[tuple[tuple[str, int], int]], cuts: Cuts | None,
) -> dict[str, Any]:
    """Put a report together.

    Args:
        settings: of the run.
        files: one report a file read.
        counts: counts of users, searches and requests, in parts to be summed.
        items: ((item, CLICK or SHOWN), clicks).
        cuts: of a time split.

    Returns:
        Plain values for JSON, under `settings`, `files`, `log`, `splits`, `negatives` and `cuts`.
    """
    files = sorted(files, key=lambda file: file.table)
    total: Counter[str] = sum((Counter(part) for part in counts), Counter())
    kinds = Counter(tuple(sorted(kinds)) for kinds in _kinds(items).values())
    rec = next(file for file in files if file.table == REC)
    return {
        "settings": dataclasses.asdict(settings),
        "files": [_file(file) for file in files],
        "log": {
            **{name: total[name] for name in ("users", "users_with_clicks", "users_with_searches", "searches",
                                              "searches_with_click", "searches_without_click", "empty_searches")},
            "clicks": rec.clicks,
            "recommended_without_click": rec.rows - rec.clicks - sum(rec.bad.values()),
            "items": kinds[CLICK,] + kinds[CLICK, SHOWN],
            "items_found": kinds[SHOWN,] + kinds[CLICK, SHOWN],
            "items_in_both": kinds[CLICK, SHOWN],
        },
        "splits": {name: total[name] for name in (
            "train_users", "train_targets", "eval_requests", "test_requests", "without_history",
            "short_of_negatives")},
        "negatives": {"number": settings.num_negatives, "sampling": settings.negative_sampling,
                      "seed": settings.seed},
        "cuts": cuts._asdict() if cuts else None,
    }


def format_counts(report: dict[str, Any]) -> str:
    """Say in a few lines what a report holds, for a console."""
    log, splits, negatives = report["log"], report["splits"], report["negatives"]
    lines = [
        f"{log['users']:,} users, {log['items']:,} items: {log['clicks']:,} clicks "
        f"(and {log['recommended_without_click']:,} recommended without a click), "
        f"{log['searches']:,} searches ({log['searches_with_click']:,} with a click)",
        f"train: {splits['train_targets']:,} targets of {splits['train_users']:,} users; "
        f"eval: {splits['eval_requests']:,} requests; test: {splits['test_requests']:,} requests; "
        f"no history: {splits['without_history']:,}",
        f"each request: 1 + {negatives['number']} candidates, {negatives['sampling']}, seed {negatives['seed']}",
    ]
    lines += [f"{file['file']}: {file['bad_rows']:,} of {file['rows']:,} rows set aside ({format_reasons(file['bad'])})"
              for file in report["files"] if file["bad_rows"]]
    if log["empty_searches"]:
        lines.append(f"{log['empty_searches']:,} searches left out: neither a word nor a clicked item")
    return "\n".join(lines)


def format_reasons(bad: list[dict[str, Any]]) -> str:
    """Say why rows of a file were set aside, the most frequent reason first."""
    return "; ".join(f"{entry['reason']}: {entry['rows']:,}, first at line {entry['examples'][0]['line']}: "
                     f"{entry['examples'][0]['value']!r}" for entry in bad)


def _file(file: FileReport) -> dict[str, Any]:
    by_frequency = sorted(file.bad, key=lambda reason: (-file.bad[reason], reason))
    return {
        "table": file.table, "file": file.file, "rows": file.rows, "bad_rows": sum(file.bad.values()),
        "bad": [{"reason": reason, "rows": file.bad[reason], "examples": file.examples[reason]}
                for reason in by_frequency],
        "fatal": file.fatal,
    }


def _kinds(items: Iterable[tuple[tuple[str, int], int]]) -> dict[str, set[int]]:
    kinds: dict[str, set[int]] = {}
    for (item, kind), _ in items:
        kinds.setdefault(item, set()).add(kind)
    return kinds
