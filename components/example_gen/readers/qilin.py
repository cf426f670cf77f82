"""Reads Qilin (arXiv 2503.00501): its Parquet tables as published, and the CSV samples of its repository.

A row is a request or a search with the list of its results. `recommendation_*` give clicks; `search_*` and `dqa` give
searches. The `query` of a recommendation table is no query but the titles of notes clicked before, and is not read.
"""

from collections.abc import Iterator
from typing import Final

import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.events import Events
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import columns, qilin_results, query_text, tables
from components.example_gen.readers.batches import click_events, cut_queries, keep_times, search_events
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.qilin_results import PLACE
from components.example_gen.readers.rows import apply_rules, count
from components.example_gen.settings import LogSettings

RECOMMENDATIONS: Final = ("recommendation_train", "recommendation_test")
SEARCHES: Final = ("search_train", "search_test", "dqa")
WANTED: Final = f"{' or '.join(RECOMMENDATIONS)}, and {' or '.join(SEARCHES)}, as .parquet, .csv or .csv.gz"
"""What a directory must hold, for an error."""
KINDS: Final = {" and no ".join(kind): kind for kind in (RECOMMENDATIONS, SEARCHES)}
"""What must be there, for an error, and its tables."""
_ENDINGS: Final = (".parquet", ".csv", ".csv.gz")
_REC_DETAILS: Final = "rec_result_details_with_idx"
_SEARCH_DETAILS: Final = "search_result_details_with_idx"
_TIMES: Final = {_REC_DETAILS: "request_timestamp", _SEARCH_DETAILS: "search_timestamp"}
_REC_COLUMNS: Final = ("user_idx", "request_idx", _REC_DETAILS)
_SEARCH_COLUMNS: Final = ("user_idx", "search_idx", "query", _SEARCH_DETAILS)
_BATCH_REQUESTS: Final = 1 << 12


def is_log(directory: str) -> bool:
    """Whether a directory holds one of the tables that are read."""
    return any(tables.find(directory, table, _ENDINGS) for table in RECOMMENDATIONS + SEARCHES)


def left_out(directory: str) -> list[str]:
    """Files that lie or are named as those of a table and are no data."""
    return [name for table in RECOMMENDATIONS + SEARCHES for name in tables.left_out(directory, table, _ENDINGS)]


def find(directory: str, settings: LogSettings) -> list[LogFile]:
    """Find the files of all tables, recommendations first, and check each: opens, has its columns.

    Raises:
        LogError: where a file cannot be used, or jieba is missing.
    """
    query_text.cutter(settings, "jieba")
    found = []
    for table in RECOMMENDATIONS + SEARCHES:
        for part in tables.find(directory, table, _ENDINGS):
            *names, details = _REC_COLUMNS if table in RECOMMENDATIONS else _SEARCH_COLUMNS
            found.append(tables.require(part, (*names, details)))
            tables.require_flat(part.path, names)
            qilin_results.require_fields(part.path, details, _fields(details, settings))
    return found


def read(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    """Stream the events of a file, in its order.

    Args:
        file: one that `find` returned.
        settings: `click_columns`, `query_words` and `words_per_search` count.
        report: filled on the way, a file that breaks off included; its rows are results.
    """
    try:
        yield from (_read_clicks if file.table in RECOMMENDATIONS else _read_searches)(file, settings, report)
    except LogError as error:
        report.fatal = str(error)


def _read_clicks(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    rules = {"user": columns.identifier("user_idx"), "request": columns.identifier("request_idx")}
    for rows in _results(_requests(file, _REC_COLUMNS, report), _REC_DETAILS, rules, settings, report):
        first = pl.struct(LINE, "item", "timestamp", "clicked").is_first_distinct()
        again = rows.filter(pl.col("clicked") & ~first)
        count(report.repair, "note twice in a request", again.select(LINE, "item"), settings.max_samples)
        yield click_events(rows.filter(first).with_columns(line=PLACE), report)


def _read_searches(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    rules = {
        "user": columns.identifier("user_idx"),
        "search": columns.identifier("search_idx"),
        "words": columns.words("query", query_text.cutter(settings, "jieba")),
    }
    # The author's recipe: a search happens when the first of the results that are kept is seen.
    first = pl.coalesce(pl.col("timestamp").filter("clicked").first(), pl.col("timestamp").first()).over(LINE)
    requests = _requests(file, _SEARCH_COLUMNS, report)
    for rows in _results(requests, _SEARCH_DETAILS, rules, settings, report):
        yield search_events(
            cut_queries(rows, settings, report).with_columns(
                line=PLACE,
                timestamp=first,
                source=pl.lit(file.table),
                session=file.table + " " + pl.col("search"),
            ),
            report,
        )


def _results(
    requests: Iterator[pl.DataFrame],
    details: str,
    rules: dict[str, columns.Rule],
    settings: LogSettings,
    report: FileReport,
) -> Iterator[pl.DataFrame]:
    """Stream the results that can be read: the columns of the rules, and `item`, `timestamp`, `clicked` and `place`."""
    time = _TIMES[details]
    clicks = {f"click {name}": columns.number(name) for name in dict.fromkeys(settings.click_columns)}
    rules = {**rules, "item": columns.identifier("note_idx"), **columns.time(time), **clicks}
    place = 1
    for frame in requests:
        results = qilin_results.unfold(frame, details, _fields(details, settings), place, report)
        place += results.height
        rows = keep_times(apply_rules(results, rules, report, keep=(PLACE,)), time, report)
        yield rows.with_columns(clicked=pl.any_horizontal(pl.col(*clicks) > 0))


def _requests(file: LogFile, names: tuple[str, ...], report: FileReport) -> Iterator[pl.DataFrame]:
    return tables.read_rows(file.path, names, report, _BATCH_REQUESTS)


def _fields(details: str, settings: LogSettings) -> list[str]:
    """What is read of a result."""
    return list(dict.fromkeys(["note_idx", "position", _TIMES[details], *settings.click_columns]))
