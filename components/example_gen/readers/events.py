"""Reads a platform's own log in our event form: `recommendations` and `searches` as Parquet, CSV or JSON lines.

docs/data.md describes the form. `columns` of the settings gives the names of the log's columns by ours, those of one
table alone by `searches.timestamp_ms` and the like.
"""

from collections.abc import Iterator
from typing import Final

import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.events import Events
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import columns, query_text, tables
from components.example_gen.readers.batches import click_events, cut_queries, keep_times, search_events
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.rows import read_file
from components.example_gen.settings import LogSettings

REC: Final = "recommendations"
SEARCH: Final = "searches"
WANTED: Final = f"{REC} and {SEARCH}, as {', '.join(tables.ENDINGS)}"
"""What a directory must hold, for an error."""
KINDS: Final = {f"{table} ({', '.join(tables.ENDINGS)})": (table,) for table in (REC, SEARCH)}
"""What must be there, for an error, and its tables."""
_REC_COLUMNS: Final = ("user_id", "item_id", "timestamp_ms", "clicked")
_SEARCH_COLUMNS: Final = ("user_id", "timestamp_ms", "query_words")
_RESULT_COLUMNS: Final = ("item_id", "clicked")
_CLICKED_LIST: Final = "clicked_item_ids"
_SHOWN_LIST: Final = "shown_item_ids"
_OPTIONAL: Final = {"session_id": "session", "source": "source"}
_OURS: Final = {*_REC_COLUMNS, *_SEARCH_COLUMNS, _CLICKED_LIST, _SHOWN_LIST, *_OPTIONAL}


def is_log(directory: str) -> bool:
    """Whether a directory holds one of the two tables."""
    return any(tables.find(directory, table) for table in (REC, SEARCH))


def left_out(directory: str) -> list[str]:
    """Files that lie or are named as those of a table and are no data."""
    return [name for table in (REC, SEARCH) for name in tables.left_out(directory, table)]


def find(directory: str, settings: LogSettings) -> list[LogFile]:
    """Find the files of both tables, recommendations first, and check each: opens, has its columns.

    Raises:
        LogError: for an unreadable file, a missing column, an unknown name in `columns`, or where jieba is asked for
            and missing.
    """
    unknown = sorted(
        name for name in settings.columns if name.removeprefix(f"{REC}.").removeprefix(f"{SEARCH}.") not in _OURS
    )
    if unknown:
        raise LogError(
            f"`columns` has the names of a log's columns by ours, which are {', '.join(sorted(_OURS))}, "
            f"alone or after `{REC}.` or `{SEARCH}.`. Received: {', '.join(unknown)}."
        )
    query_text.cutter(settings, "list or split")
    found = []
    for table in (REC, SEARCH):
        for part in tables.find(directory, table):
            found.append(tables.require(part, _theirs(settings, table, _needed(part, settings))))
            tables.require_flat(part.path, _used(part, settings))
    return found


def read(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    """Stream the events of a file, in its order.

    Args:
        file: one that `find` returned.
        settings: `columns`, `query_words` and `words_per_search` count.
        report: filled on the way, a file that breaks off included.
    """
    try:
        if file.table == REC:
            yield from _read_clicks(file, settings, report)
        else:
            yield from _read_searches(file, settings, report)
    except LogError as error:
        report.fatal = str(error)


def _read_clicks(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    user, item, time, clicked = _theirs(settings, REC, _REC_COLUMNS)
    rules = {
        "user": columns.identifier(user),
        "item": columns.identifier(item),
        **columns.time(time),
        "clicked": columns.flag(clicked),
    }
    for rows in read_file(file.path, rules, report):
        yield click_events(keep_times(rows, time, report), report)


def _read_searches(file: LogFile, settings: LogSettings, report: FileReport) -> Iterator[Events]:
    header, _ = tables.read_header(file.path)
    user, time, query = _theirs(settings, SEARCH, _SEARCH_COLUMNS)
    rules = {
        "user": columns.identifier(user),
        **columns.time(time),
        "words": columns.words(query, query_text.cutter(settings, "list or split")),
    }
    lists = _has_lists(header, settings)
    if lists:
        rules |= {
            name: columns.item_list(theirs)
            for name in (_CLICKED_LIST, _SHOWN_LIST)
            if (theirs := _name(settings, SEARCH, name)) in header
        }
    else:
        item, clicked = _theirs(settings, SEARCH, _RESULT_COLUMNS)
        rules |= {"item": columns.identifier(item), "clicked": columns.flag(clicked)}
    rules |= {
        name: columns.optional(theirs)
        for ours, name in _OPTIONAL.items()
        if (theirs := _name(settings, SEARCH, ours)) in header
    }
    absent = [pl.lit("").alias(name) for name in _OPTIONAL.values() if name not in rules]
    place = 1
    for rows in read_file(file.path, rules, report):
        shown = cut_queries(keep_times(rows, time, report), settings, report).with_columns(absent)
        if lists:
            shown = _unfold(shown, place)
            place += shown.height
        yield search_events(shown, report)


def _unfold(rows: pl.DataFrame, place: int) -> pl.DataFrame:
    """Give every result of a search a row: those shown, then those only clicked; "" where there is none."""
    shown = pl.col(_SHOWN_LIST) if _SHOWN_LIST in rows.columns else pl.lit([], pl.List(pl.String))
    items = pl.concat_list(shown, _CLICKED_LIST).list.unique(maintain_order=True)
    rows = rows.with_columns(item=pl.when(items.list.len() > 0).then(items).otherwise([""])).explode("item")
    numbers = pl.int_range(place, place + rows.height, dtype=pl.Int64, eager=True)
    return rows.with_columns(numbers.alias(LINE), clicked=pl.col("item").is_in(pl.col(_CLICKED_LIST)))


def _needed(file: LogFile, settings: LogSettings) -> tuple[str, ...]:
    if file.table == REC:
        return _REC_COLUMNS
    header, _ = tables.read_header(file.path)
    return _SEARCH_COLUMNS + ((_CLICKED_LIST,) if _has_lists(header, settings) else _RESULT_COLUMNS)


def _used(file: LogFile, settings: LogSettings) -> list[str]:
    """The columns of a file that are read."""
    ours = _REC_COLUMNS if file.table == REC else _OURS
    header, _ = tables.read_header(file.path)
    return [name for name in _theirs(settings, file.table, tuple(ours)) if name in header]


def _has_lists(header: list[str], settings: LogSettings) -> bool:
    return _name(settings, SEARCH, _CLICKED_LIST) in header


def _theirs(settings: LogSettings, table: str, ours: tuple[str, ...]) -> list[str]:
    return [_name(settings, table, name) for name in ours]


def _name(settings: LogSettings, table: str, ours: str) -> str:
    return settings.columns.get(f"{table}.{ours}", settings.columns.get(ours, ours))
