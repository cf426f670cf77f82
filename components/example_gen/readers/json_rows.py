"""Streams a file of JSON lines as frames of text: a block at once where polars can, else line by line."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.text_blocks import TextBlocks

_HEADER_LINES = 100
_BRACE, _NEWLINE = b"{\n"


def read_header(path: str) -> tuple[list[str], bool]:
    """Return the names in the first hundred objects of a file, and whether there is any.

    Raises:
        LogError: for a file that is empty or cannot be read so far.
    """
    names: dict[str, None] = {}
    lines = TextBlocks(path).take().splitlines()[:_HEADER_LINES]
    if not lines:
        raise LogError(f"{path} is empty. Bring a file with rows.")
    for line in lines:
        names.update(dict.fromkeys(_object(line.decode()) or ()))
    return list(names), True


def read_rows(path: str, columns: Sequence[str], report: FileReport) -> Iterator[pl.DataFrame]:
    """Stream some columns of a file, blank lines skipped.

    Args:
        path: of the file.
        columns: names in its objects; one may lack some.
        report: counts the rows, and those that are no object.

    Yields:
        `line` from 1 and the columns by name: text, "" where null or not there, a list as JSON.

    Raises:
        LogError: for a file that breaks off, when all before that has been yielded.
    """
    blocks = TextBlocks(path)
    schema = dict.fromkeys(columns, pl.String)
    while block := blocks.take():
        frame = _whole_block(block, blocks.line, schema)
        if frame is None:
            frame = _line_by_line(block, blocks.line, schema, report)
        else:
            report.rows += frame.height
        blocks.line += block.count(b"\n")
        yield frame


def _whole_block(block: bytes, first_line: int, schema: dict[str, type[pl.String]]) -> pl.DataFrame | None:
    data = np.frombuffer(block, np.uint8)
    starts = np.concatenate([[0], np.flatnonzero(data[:-1] == _NEWLINE) + 1])
    if not (data[starts] == _BRACE).all():
        return None
    try:
        frame = pl.read_ndjson(block, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    if frame.height != len(starts):
        return None
    lines = pl.Series(LINE, np.arange(first_line, first_line + len(starts)), pl.Int64)
    return frame.with_columns(pl.all().fill_null("")).insert_column(0, lines)


def _line_by_line(
    block: bytes, first_line: int, schema: dict[str, type[pl.String]], report: FileReport
) -> pl.DataFrame:
    rows = []
    for line, text in enumerate(block.decode().split("\n"), first_line):
        if not text.strip():
            continue
        report.rows += 1
        values = _object(text)
        if values is None:
            report.set_aside(line, "no JSON object", text)
        else:
            rows.append((line, *(_text(values.get(name)) for name in schema)))
    return pl.DataFrame(rows, {LINE: pl.Int64, **schema}, orient="row")


def _object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
