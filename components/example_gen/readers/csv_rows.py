"""Streams a CSV file as frames of text: at the speed of polars, with the judgement of Python's strict `csv`.

A block of lines whose quotes stand where they should is split by polars, all columns at once; any other block goes
through `csv` row by row. Both ways give the same rows, reasons and line numbers; a property test holds them to it.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.readers.csv_layout import Layout, find_layout
from components.example_gen.readers.text_blocks import TextBlocks

FIELD_LIMIT = 256 << 20
"""Captions of KuaiSAR run to far more than the 128 KiB that `csv` allows."""

LINE = "line"


def read_header(path: str) -> tuple[list[str], bool]:
    """Return the names of a file's columns, none where it is empty, and whether a row follows.

    Raises:
        LogError: for a file that cannot be read so far.
    """
    blocks = TextBlocks(path)
    header = _header(blocks)
    return header, _first_row(blocks) is not None


def read_rows(path: str, columns: Sequence[str], report: FileReport) -> Iterator[pl.DataFrame]:
    """Stream some columns of a file, blank lines skipped.

    Args:
        path: of the file.
        columns: names in its header, none twice.
        report: counts the rows, and those that are no row of the header's length.

    Yields:
        `line` (at which the row starts, from 1) and the columns by name as text, "" where empty.

    Raises:
        LogError: for a file that breaks off, when all before that has been yielded.
    """
    blocks = TextBlocks(path)
    header = _header(blocks)
    if not header:
        return
    places = [header.index(name) for name in columns]
    while block := blocks.take():
        layout = find_layout(block, blocks.ended)
        if layout is None:
            rows, failure = _checked(_row_by_row(blocks, block), len(header), report)
            yield pl.DataFrame(
                [(line, *(row[place] for place in places)) for line, row in rows],
                orient="row",
                schema={LINE: pl.Int64, **dict.fromkeys(columns, pl.String)},
            )
            if failure:
                raise failure
        else:
            kept, lines = _whole_rows(block, layout, blocks.line, len(header), report)
            blocks.line += layout.lines
            blocks.give_back(block[layout.end :])
            yield _split(kept, layout.quoted, header, columns).insert_column(0, pl.Series(LINE, lines, pl.Int64))


def _whole_rows(
    block: bytes, layout: Layout, first_line: int, width: int, report: FileReport
) -> tuple[bytes, npt.NDArray[Any]]:
    """Return the text of the rows of the header's length and the line of each."""
    ragged = ~layout.blank & (layout.commas != width - 1)
    report.rows += int((~layout.blank).sum())
    lines = first_line + layout.lines_before
    for row in np.flatnonzero(ragged):
        _set_ragged_aside(report, int(lines[row]), int(layout.commas[row]) + 1, width)
    kept = ~(layout.blank | ragged)
    return block[: layout.end] if kept.all() else _joined(block, layout, kept), lines[kept]


def _split(text: bytes, quoted: bool, header: list[str], columns: Sequence[str]) -> pl.DataFrame:
    schema = dict.fromkeys(map(str, range(len(header))), pl.String)
    places = {name: header.index(name) for name in columns}
    if text:
        frame = pl.read_csv(
            text, has_header=False, schema=schema, columns=sorted(places.values()), quote_char='"' if quoted else None
        )
    else:
        frame = pl.DataFrame(schema=schema)
    # The empty field is null to polars.
    return frame.select(pl.col(str(place)).fill_null("").alias(name) for name, place in places.items())


def _joined(block: bytes, layout: Layout, kept: npt.NDArray[Any]) -> bytes:
    """Return the rows to keep: one slice for each run of them."""
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    return b"".join(block[layout.starts[first] : layout.ends[after - 1] + 1] for first, after in edges.reshape(-1, 2))


def _header(blocks: TextBlocks) -> list[str]:
    row = _first_row(blocks)
    return [name.strip() for name in row] if isinstance(row, list) else []


def _first_row(blocks: TextBlocks) -> list[str] | csv.Error | None:
    while block := blocks.take():
        for _, row in [*_row_by_row(blocks, block, stop_after=1)]:
            return row
    return None


def _row_by_row(
    blocks: TextBlocks, block: bytes, stop_after: int | None = None
) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the rows of a block, and of the next ones until a row ends with a block."""
    csv.field_size_limit(FIELD_LIMIT)
    lines = deque(io.StringIO(block.decode(), newline=""))
    first_line = blocks.line
    # Strict: otherwise a quote that is never closed swallows the rest of the file as one field.
    reader = csv.reader(_lines(lines, blocks), strict=True)
    found = 0
    while lines and found != stop_after:
        try:
            row: list[str] | csv.Error = next(reader)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise LogError(
                    f"{blocks.path} ends inside a quoted field that opens at line {blocks.line}. Close the "
                    "quote or bring a whole copy of the file."
                ) from error
            row = error
        line, blocks.line = blocks.line, first_line + reader.line_num
        if row:
            found += 1
            yield line, row
    if lines:
        blocks.give_back("".join(lines).encode())


def _lines(lines: deque[str], blocks: TextBlocks) -> Iterator[str]:
    while True:
        while lines:
            yield lines.popleft()
        block = blocks.take()
        if not block:
            return
        lines.extend(io.StringIO(block.decode(), newline=""))


def _checked(
    rows: Iterator[tuple[int, list[str] | csv.Error]], width: int, report: FileReport
) -> tuple[list[tuple[int, list[str]]], LogError | None]:
    good = []
    try:
        for line, row in rows:
            report.rows += 1
            if isinstance(row, csv.Error):
                report.set_aside(line, "malformed csv", str(row))
            elif len(row) != width:
                _set_ragged_aside(report, line, len(row), width)
            else:
                good.append((line, row))
    except LogError as error:
        return good, error
    return good, None


def _set_ragged_aside(report: FileReport, line: int, count: int, width: int) -> None:
    report.set_aside(line, f"not the {width} fields of the header", f"{count} fields")
