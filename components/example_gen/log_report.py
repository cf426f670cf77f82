"""The report of a log: what it holds, what was set aside, repaired or left out, and what became of it."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from components.example_gen.errors import name_some
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import Beside
from components.example_gen.settings import LogSettings
from components.example_gen.splits import Cuts
from components.example_gen.tally import Tally
from components.example_gen.times import judge_times
from components.example_gen.two_tables import find_warnings, name_users

FILE_NAME = "log_report.json"
_LOG = (
    "users",
    "users_with_clicks",
    "users_with_searches",
    "searches",
    "searches_with_click",
    "searches_without_click",
    "clicks",
)
_ITEMS = ("items", "items_found", "items_in_both")
_SPLITS = (
    "train_users",
    "train_clicks",
    "train_targets",
    "train_search_targets",
    "clicks_after_another",
    "eval_clicks",
    "eval_without_history",
    "eval_requests",
    "test_clicks",
    "test_without_history",
    "test_requests",
    "test_requests_with_search",
    "without_candidates",
    "users_without_candidates",
    "missing_candidates",
    "example_bytes",
)
_TABLES = ("users_of_clicks", "users_of_searches", "users_of_both")
_RANGES = ("click_times", "search_times", "clicks_of_a_user")
_USERS = ("only_clicks", "only_searches", "without_candidates")
RULES = {
    "repeated_clicks": "clicks repeated, of equal user, item and time: counted once (`repeated_clicks`)",
    "empty_searches": "searches left out: neither a word nor an item",
    "unclicked_dropped": "searches left out: no click (`unclicked_search`)",
    "users_left_out": "users left out: fewer clicks than `min_clicks`",
    "clicks_left_out": "clicks left out with them",
    "searches_left_out": "searches left out with them",
    "unclicked_first_shown": "searches without a click: their first result stands for one (`unclicked_search`)",
    "searches_cut": "searches with more clicked items than `items_per_search`: requests show the first ones",
    "repeated_results": "result rows repeated in a search: counted once",
    "conflicting_clicks": "results both clicked and not clicked in a search: clicked",
}
"""What reading rules leave out or change, after rows were read: count, and what it says."""


def make_report(
    settings: LogSettings,
    files: Iterable[FileReport],
    users: Tally,
    items: dict[str, int],
    cuts: Cuts | None,
    *,
    beside: Beside,
) -> dict[str, Any]:
    """Put a report together.

    Args:
        settings: of the run.
        files: one report a file read.
        users: what became of the events of all users.
        items: counts of items.
        cuts: of a split in time.
        beside: what the log holds beside its data.

    Returns:
        Plain values for JSON, under `settings`, `files`, `beside`, `log`, `tables`, `rules`, `splits`, `negatives`,
        `cuts`, `times`, see `judge_times`, and `warnings`.
    """
    counts, items = Counter(users.counts), Counter(items)
    files = sorted(files, key=lambda file: (file.file, file.table))
    splits = {name: counts[name] for name in _SPLITS}
    splits["without_history"] = splits["eval_without_history"] + splits["test_without_history"]
    report = {
        "settings": dataclasses.asdict(settings),
        "files": [_file(file) for file in files],
        "beside": beside._asdict(),
        "log": {
            **{name: counts[name] for name in _LOG},
            # Of the files that hold recommendations: a row is a click, bad, or recommended in vain.
            "recommended_without_click": sum(file.unclicked for file in files),
            **{name: items[name] for name in _ITEMS},
        },
        # What was read, before any rule left something out; unix milliseconds, and the first few users by id.
        "tables": {
            **{name: counts[name] for name in _TABLES},
            **{name: list(users.ranges[name]) if name in users.ranges else None for name in _RANGES},
            **{name: users.users.get(name, []) for name in _USERS},
        },
        "rules": {name: counts[name] for name in RULES},
        "splits": splits,
        "negatives": {
            "number": settings.num_negatives,
            "sampling": settings.negative_sampling,
            "avoid": settings.negatives_avoid,
            "existing": settings.negatives_existing,
            "candidates_file": settings.candidates_file,
            "seed": settings.seed,
        },
        "cuts": cuts._asdict() if cuts else None,
        "times": judge_times(files, settings.split),
    }
    return {**report, "warnings": log_warnings(report)}


def log_warnings(report: dict[str, Any]) -> list[str]:
    """Say what may be wrong with a log although it can be used, each with the likely cause; docs/data.md explains."""
    return find_warnings(report) + ([text] if (text := set_aside_requests(report)) else [])


def format_counts(report: dict[str, Any]) -> str:
    """Say in a few lines what a report holds, for a console."""
    log, splits, negatives = report["log"], report["splits"], report["negatives"]
    source = negatives["candidates_file"] or f"{negatives['sampling']}, seed {negatives['seed']}"
    lines = [
        f"{log['users']:,} users, {log['items']:,} items: {log['clicks']:,} clicks "
        f"(and {log['recommended_without_click']:,} recommended without a click), "
        f"{log['searches']:,} searches ({log['searches_with_click']:,} with a click)",
        f"train: {splits['train_targets']:,} targets of {splits['train_users']:,} users; "
        f"eval: {splits['eval_requests']:,} requests; test: {splits['test_requests']:,} requests; "
        f"no history: {splits['without_history']:,}",
        f"each request: 1 + {negatives['number']} candidates, {source}",
    ]
    if before := sum(file["read_before"] for file in report["files"]):
        lines.append(f"{before} of {len(report['files'])} files as an earlier run read them")
    lines += _beside(**report["beside"])
    lines += [_rows(file) for file in report["files"] if file["bad_rows"] or file["repaired"]]
    lines += report["times"]["notes"]
    if applied := [f"{count:,} {RULES[name]}" for name, count in report["rules"].items() if count]:
        lines.append("; ".join(applied))
    lines += [f"WARNING: {warning}" for warning in report["warnings"]]
    return "\n".join(lines)


def too_many_bad_rows(file: dict[str, Any], max_bad_share: float) -> str | None:
    """Say which share of a file's rows was set aside and why; None where it is at most `max_bad_share`.

    Args:
        file: an entry of `files` of a report.
        max_bad_share: of the file's rows.
    """
    if file["bad_rows"] <= max_bad_share * file["rows"]:
        return None
    return (
        f"{file['file']}: {file['bad_rows']:,} of {file['rows']:,} rows cannot be read "
        f"({format_reasons(file['bad'])}), more than `max_bad_share` = {max_bad_share} allows"
    )


def set_aside_requests(report: dict[str, Any]) -> str | None:
    """Say how many requests have no candidates, whose and why; None where all have some."""
    settings, splits, log = report["settings"], report["splits"], report["log"]
    count = splits["without_candidates"]
    if not count:
        return None
    total = splits["eval_requests"] + splits["test_requests"] + count
    text = (
        f"{count:,} of {total:,} requests were set aside, those of {splits['users_without_candidates']:,} users "
        f"(such as {name_users(report['tables']['without_candidates'])}): "
    )
    if settings["candidates_file"]:
        return f"{text}{settings['candidates_file']} has no candidates for them."
    left = {
        "whole_log": "that the user never clicked",
        "past": "that the user had not clicked by then",
        "none": "beside the target",
    }[settings["negatives_avoid"]]
    if settings["negatives_existing"]:
        left += ", and that anybody had clicked by then (`negatives_existing`)"
    return (
        f"{text}fewer than `num_negatives` = {settings['num_negatives']:,} of "
        f"{min(log['items'], settings['max_pool_items']):,} items are left {left}."
    )


def format_reasons(entries: list[dict[str, Any]]) -> str:
    """Say why rows of a file were set aside or repaired, the most frequent reason first."""
    return "; ".join(f"{entry['reason']}: {entry['rows']:,}{_first(entry)}" for entry in entries)


def _rows(file: dict[str, Any]) -> str:
    parts = []
    if file["bad_rows"]:
        parts.append(f"{file['bad_rows']:,} of {file['rows']:,} rows set aside ({format_reasons(file['bad'])})")
    if file["repaired"]:
        repaired = sum(entry["rows"] for entry in file["repaired"])
        parts.append(f"{repaired:,} rows repaired ({format_reasons(file['repaired'])})")
    return f"{file['file']}: {'; '.join(parts)}"


def _beside(left_out: list[str], missing: list[str]) -> list[str]:
    lines = [f"{len(left_out):,} files left out, for they are no data: {name_some(left_out)}"] if left_out else []
    return lines + ([f"spans that lack a table: {name_some(missing)}"] if missing else [])


def _first(entry: dict[str, Any]) -> str:
    if not entry["samples"]:
        return ""
    return f", first at line {entry['samples'][0]['line']}: {entry['samples'][0]['value']!r}"


def _file(file: FileReport) -> dict[str, Any]:
    return {
        "table": file.table,
        "file": file.file,
        "rows": file.rows,
        "bad_rows": sum(file.bad.values()),
        "bad": _reasons(file, file.bad),
        "repaired": _reasons(file, file.repaired),
        "kept_as": file.kept_as,
        "read_before": file.read_before,
        "fatal": file.fatal,
    }


def _reasons(file: FileReport, counts: dict[str, int]) -> list[dict[str, Any]]:
    by_frequency = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return [
        {"reason": reason, "rows": counts[reason], "samples": file.samples.get(reason, [])} for reason in by_frequency
    ]
