"""Streams a file of JSON lines as frames of text: a block at once where polars can, else line by line.

Both ways give the same text, whatever stands beside a line; a property test holds them to it. A number is the text of
its value, so that 1.0 is "1" as 1 is; a list is the list printed; of a name that an object has twice the first counts.
"""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from components.example_gen.file_report import FileReport
from components.example_gen.readers import fields
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.fields import BadField
from components.example_gen.readers.text_blocks import TextBlocks

_HEADER_LINES = 100
_BRACE, _NEWLINE = b"{\n"
_PRINTED_OTHERWISE = r"^-0$|\d{38}|\x00|^\{|^\[(?s:.*)[\\\x00-\x1f]|^\[(?:(?s:.*),)?\s*(?:[\[{tfn]|-0|-?\d+\.)"
"""What polars prints in another way than we do, or does not tell from text: null, floats and objects in lists; and
whole numbers that fill 128 bits.
"""
_LARGE = r"^-?\d{16,}$|^\[(?s:.*)\d{16,}"
"""What may have been a float too large to be one whole number."""
_FLOAT = re.compile(rb"\d(?:\.|[eE][-+\d])")
_LARGE_FLOAT = re.compile(rb"[:,\[]\s*-?(?:\d{16,}\.|\d+(?:\.\d+)?[eE])")
_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


def read_header(path: str) -> tuple[list[str], bool]:
    """Return the names in the first hundred objects of a file, and whether it has a line.

    Raises:
        LogError: for a file that cannot be read so far.
    """
    names: dict[str, None] = {}
    lines = TextBlocks(path).take().splitlines()[:_HEADER_LINES]
    for line in lines:
        names.update(dict.fromkeys(_object(line.decode()) or ()))
    return list(names), bool(lines)


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
    if not (data[starts] == _BRACE).all() or _HALF_A_PAIR.search(block):
        return None
    try:
        frame = pl.read_ndjson(block, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    if (
        frame.height != len(starts)
        or _any_matches(frame, _PRINTED_OTHERWISE)
        or (_any_matches(frame, _LARGE) and _FLOAT.search(block) and _LARGE_FLOAT.search(block))
    ):
        return None
    lines = pl.Series(LINE, np.arange(first_line, first_line + len(starts)), pl.Int64)
    return frame.with_columns(pl.all().fill_null("")).insert_column(0, lines)


def _any_matches(frame: pl.DataFrame, pattern: str) -> bool:
    return any(column.str.contains(pattern).any() for column in frame)


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
            continue
        try:
            rows.append((line, *(_text(values.get(name), name) for name in schema)))
        except BadField as error:
            report.set_aside(line, error.reason, error.value)
    return pl.DataFrame(rows, {LINE: pl.Int64, **schema}, orient="row")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, object_pairs_hook=_first_of_each, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _text(value: Any, name: str) -> str:
    match value:
        case str():
            if not fields.is_unicode(value):
                raise BadField(f"{name} holds {fields.HALF_A_PAIR}", ascii(value))
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case list() if not any(isinstance(one, list | dict) for one in value):
            return json.dumps([_element(one, name) for one in value], ensure_ascii=False)
    raise BadField(f"{name} is no text, number or list of them", json.dumps(value))


def _element(value: Any, name: str) -> int | str:
    text = _text(value, name)
    is_whole = type(value) in (int, float) and text.lstrip("-").isdigit()
    return int(text) if is_whole else text


def _number(value: float) -> str:
    if not value.is_integer():
        return f"{Decimal(repr(value)):f}"
    return repr(value) if abs(value) >= 1 << fields.EXACT_BITS else str(int(value))
