"""Reads the five-file form of KuaiSAR (arXiv 2306.07705): by column name, quirks and all.

The recommendation and search files are read; of the other three, which the model does not use, the header is
checked where they are there.
"""

from collections.abc import Iterator
from typing import Final

import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.events import Events
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import columns, csv_rows, files, query_text, tables
from components.example_gen.readers.batches import click_events, cut_queries, keep_times, search_events
from components.example_gen.readers.rows import read_file
from components.example_gen.settings import LogSettings

REC: Final = "rec_inter.csv"
SEARCH: Final = "src_inter.csv"
COLUMNS: Final = {
    REC: ("user_id", "item_id", "timestamp"),
    SEARCH: ("user_id", "item_id", "click_cnt", "search_session_timestamp", "keyword", "search_session_id"),
    "item_features.csv": ("item_id",),
    "user_features.csv": ("user_id",),
    "social_network.csv": ("user_id", "user_follow_id"),
}
"""Columns that a table must have, `click_columns` beside them; it may have more, in any order. The activity level of
`user_features.csv` is not among them: it is `rec_active_level` in the documentation, `reco_active_level` in the files.
"""
WANTED: Final = f"{REC} and {SEARCH}, plain or .gz"
"""What a directory must hold, for an error."""
KINDS: Final = {f"{table} and no {table}{files.GZIP}": (table,) for table in (REC, SEARCH)}
"""What must be there, for an error, and its tables."""
_SOURCE: Final = "search_source"
_REC_TIME: Final = "timestamp"
_SEARCH_TIME: Final = "search_session_timestamp"


def is_log(directory: str) -> bool:
    """Whether a directory holds one of the two files that are read."""
    return any(files.find_table(directory, table) for table in (REC, SEARCH))


def left_out(directory: str) -> list[str]:
    """Files that are named as those of a table and are no data."""
    found = [name for name in files.listing(directory) if "/" not in name]
    stems = tuple(table.removesuffix(".csv") for table in (REC, SEARCH))
    data = {table + ending for table in (REC, SEARCH) for ending in ("", files.GZIP)}
    return [name for name in found if name.lstrip("._~").startswith(stems) and name not in data]


def find(directory: str, settings: LogSettings) -> list[LogFile]:
    """Find the recommendation and the search file, and check every table: opens, has its columns.

    Raises:
        LogError: for an unreadable file or a missing column.
    """
    found = {}
    for table in COLUMNS:
        if file := files.find_table(directory, table):
            clicks = settings.click_columns if table == REC else ()
            found[table] = tables.require(file, (*COLUMNS[table], *clicks))
    return [found[table] for table in (REC, SEARCH) if table in found]


def read(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    """Stream the events of a file, in its order.

    Args:
        file: one that `find` returned.
        settings: `click_columns` and `words_per_search` count.
        report: filled on the way, a file that breaks off included.
    """
    try:
        yield from (_read_clicks if file.table == REC else _read_searches)(file, settings, report)
    except LogError as error:
        report.fatal = str(error)


def _read_clicks(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    rules = {"user": columns.identifier("user_id"), "item": columns.identifier("item_id"), **columns.time(_REC_TIME)}
    clicks = {f"click {name}": columns.number(name) for name in dict.fromkeys(settings.click_columns)}
    for rows in read_file(file.path, {**rules, **clicks}, report):
        kept = keep_times(rows, _REC_TIME, report)
        yield click_events(kept.with_columns(clicked=pl.any_horizontal(pl.col(*clicks) > 0)), report)


def _read_searches(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    rules = {
        "user": columns.identifier("user_id"),
        "item": columns.identifier("item_id"),
        "session": columns.identifier("search_session_id"),
        **columns.time(_SEARCH_TIME),
        "words": columns.words("keyword", query_text.cutter(settings, "list")),
        "clicks": columns.number("click_cnt"),
    }
    has_source = _SOURCE in csv_rows.read_header(file.path)[0]
    if has_source:
        rules["source"] = columns.optional(_SOURCE)
    for rows in read_file(file.path, rules, report):
        kept = keep_times(rows, _SEARCH_TIME, report)
        source = pl.col("source") if has_source else pl.lit("").alias("source")
        kept = cut_queries(kept, settings, report)
        yield search_events(kept.with_columns(source, clicked=pl.col("clicks") > 0), report)
