"""Reads the five-file form of KuaiSAR (arXiv 2306.07705): by column name, quirks and all.

The recommendation and search files are read; of the other three, which the model does not use, the header is
checked where they are there.
"""

from collections.abc import Callable, Iterator
from typing import Final

from apache_beam.io.filesystems import FileSystems

from components.example_gen.errors import LogError
from components.example_gen.events import CLICK, SHOWN, Row
from components.example_gen.file_report import FileReport
from components.example_gen.readers import fields, tables
from components.example_gen.readers.fields import BadField

REC: Final = "rec_inter.csv"
SEARCH: Final = "src_inter.csv"
COLUMNS: Final = {
    REC: ("user_id", "item_id", "timestamp", "click"),
    SEARCH: ("user_id", "item_id", "click_cnt", "search_session_timestamp", "keyword", "search_session_id"),
    "item_features.csv": ("item_id",),
    "user_features.csv": ("user_id",),
    "social_network.csv": ("user_id", "user_follow_id"),
}
"""Columns that a table must have; it may have more, in any order."""

UserRow = tuple[str, Row]
_Parser = Callable[[int, list[str], FileReport], UserRow | None]


def check(log_dir: str) -> dict[str, str]:
    """Find the tables of a log and check that each can be opened and has its columns.

    Returns:
        Table to path, of those that are there.

    Raises:
        LogError: for a missing, empty or unreadable file or a missing column.
    """
    paths = {table: path for table in COLUMNS if (path := tables.find(log_dir, table))}
    for table in (REC, SEARCH):
        if table not in paths:
            raise LogError(f"{log_dir} holds no {table} and no {table}.gz. Set `log_dir` to the directory of the log.")
    for table, path in paths.items():
        rows = tables.stream(path)
        _header(rows, table, path)
        if table in (REC, SEARCH) and next(rows, None) is None:
            raise LogError(f"{path} has a header but no row. Bring a log with events.")
    return paths


def read(table: str, path: str, report: FileReport) -> Iterator[UserRow]:
    """Stream the events of `REC` or `SEARCH`.

    Args:
        table: which of the two.
        path: of the file.
        report: filled on the way, a file that breaks off included.

    Yields:
        (user, row) in the form of `events`. Recommended items without a click are only counted.
    """
    try:
        rows = tables.stream(path)
        header = _header(rows, table, path)
        parse = (_rec_parser if table == REC else _search_parser)(header)
        for line, row in rows:
            report.rows += 1
            if not isinstance(row, list):
                report.set_aside(line, "malformed csv", str(row))
            elif len(row) != len(header):
                report.set_aside(line, f"not the {len(header)} fields of the header", f"{len(row)} fields")
            else:
                try:
                    event = parse(line, row, report)
                except BadField as error:
                    report.set_aside(line, error.reason, error.value)
                    continue
                if event:
                    yield event
    except LogError as error:
        report.fatal = str(error)


def _header(rows: Iterator[tuple[int, object]], table: str, path: str) -> list[str]:
    _, row = next(rows, (0, None))
    if row is None:
        raise LogError(f"{path} is empty. Bring a file with a header and rows.")
    header = [name.strip() for name in row] if isinstance(row, list) else []
    missing = [name for name in COLUMNS[table] if name not in header]
    if missing:
        raise LogError(f"{path} has no column {', '.join(missing)}. Its header: {', '.join(header)}.")
    return header


def _rec_parser(header: list[str]) -> _Parser:
    user, item, time, click = (header.index(name) for name in COLUMNS[REC])

    def parse(line: int, row: list[str], report: FileReport) -> UserRow | None:
        user_id = fields.identifier(row[user], "user_id")
        item_id = fields.identifier(row[item], "item_id")
        timestamp = fields.timestamp(row[time], "timestamp")
        if fields.number(row[click], "click") <= 0:
            return None
        report.add_click(timestamp)
        return user_id, (CLICK, timestamp, line, item_id)

    return parse


def _search_parser(header: list[str]) -> _Parser:
    user, item, clicks, time, keyword, session = (header.index(name) for name in COLUMNS[SEARCH])
    source = header.index("search_source") if "search_source" in header else None

    def parse(line: int, row: list[str], report: FileReport) -> UserRow:
        user_id = fields.identifier(row[user], "user_id")
        item_id = fields.identifier(row[item], "item_id")
        session_id = fields.identifier(row[session], "search_session_id")
        timestamp = fields.timestamp(row[time], "search_session_timestamp")
        words = fields.words(row[keyword], "keyword")
        clicked = fields.number(row[clicks], "click_cnt") > 0
        if clicked:
            report.add_click(timestamp)
        origin = "" if source is None else row[source].strip()
        return user_id, (SHOWN, timestamp, line, session_id, words, origin, item_id if clicked else "")

    return parse


def file_name(path: str) -> str:
    """Return the last part of a path or URI."""
    return FileSystems.split(path)[1]
