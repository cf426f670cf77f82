"""Reads the single fields of a row: the judgement that `columns` applies to whole columns."""

import ast
import functools
import json
import math
import re
from typing import Any

from components.example_gen import times
from model.contract import BLANKS

LARGE_FLOAT = (
    r"^[+-]?(?:\d+\.\d*[eE]\+?\d+|\d+[eE]\+\d+|\d{16,}\.0*)$"
    r"|^-?[\d.e+]+ \(float\d\d\)$"
)
"""Text that may be a float too large to be one whole number: as Python, Spark and others print it, or as
`parquet_rows.as_text` marks one of less than 64 bits. "1e5" and "5e10" may be ids that are words of a kind.
"""
EXACT_BITS = 53
"""Whole numbers from 2^53 on share their 64-bit float with others."""


class BadField(ValueError):
    """A field that cannot be read: why, and what stood there."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason, value)
        self.reason = reason
        self.value = value


class LostIds(ValueError):
    """A column whose ids are floats too large to be told apart."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(
            f"{column} holds whole numbers as floats that are too large for it, so that different ids are "
            f"one: {text}. Store the column as integers or as text."
        )


def identifier(text: str, column: str) -> str:
    """Return the text of an id without surrounding blanks.

    Raises:
        BadField: where nothing is left.
        LostIds: for a float that several whole numbers share.
    """
    text = optional(text, column)
    if not text:
        raise BadField(f"{column} is empty", text)
    return text


def optional(text: str, column: str) -> str:
    """Return the text of an id as above, but it may be empty."""
    text = text.strip(BLANKS)
    if re.search(LARGE_FLOAT, text) and ("(" in text or abs(float(text)) >= 1 << EXACT_BITS):
        raise LostIds(column, text)
    return text


def number(text: str, column: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        raise BadField(f"{column} is no number", text) from None
    if not math.isfinite(value):
        raise BadField(f"{column} is not finite", text)
    return value


def flag(text: str, column: str) -> bool:
    """Return whether text is "true" or a number above 0."""
    lower = text.strip(BLANKS).lower()
    return lower == "true" if lower in ("true", "false") else number(text, column) > 0


def moment(text: str, column: str) -> int:
    """Return unix milliseconds, from a number in the unit that its magnitude tells, or from text; the rest is cut off.

    Ordinal numbers and calendar dates written as numbers stay what they are, see `unit`.
    """
    name = unit(text, column)
    if name in (times.ISO, times.ISO_AS_UTC):
        return times.iso_time(text)[0]
    if name in (times.ORDINAL, times.CALENDAR):
        return int(float(text))
    return math.floor(float(text) * times.UNITS[name][1] + times.HALF_MICROSECOND)


def unit(text: str, column: str) -> str:
    """Return the unit of a time: a key of `UNITS`, `ORDINAL`, `CALENDAR`, `ISO` or `ISO_AS_UTC` of `times`."""
    try:
        value = float(text)
    except ValueError:
        try:
            return times.ISO if times.iso_time(text)[1] else times.ISO_AS_UTC
        except ValueError:
            raise BadField(f"{column} is neither a number nor an ISO 8601 time", text) from None
    if not math.isfinite(value):
        raise BadField(f"{column} is not finite", text)
    if value < 0:
        raise BadField(f"{column} is negative", text)
    if value >= times.UNITS["ns"][0]:
        raise BadField(f"{column} is out of range", text)
    if any(times.is_date(math.floor(value / part)) for part in times.CALENDAR_PARTS):
        return times.CALENDAR
    if value < times.EARLIEST and value.is_integer():
        return times.ORDINAL
    return next(name for name, (limit, _) in times.UNITS.items() if value <= limit)


@functools.lru_cache(maxsize=1 << 16)  # the rows of a session repeat its query, and so do searches
def words(text: str, column: str) -> tuple[str, ...]:
    """Return the words of a list printed as JSON or Python does, such as "[1, 2]" or "['a', 'b']"."""
    try:
        values = _parsed(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # what literal_eval documents
        values = None
    if not isinstance(values, list) or not all(type(value) in (int, str) for value in values):
        raise BadField(f"{column} is no list of integers or strings", text)
    stripped = [str(value).strip(BLANKS) for value in values]
    if not is_unicode("".join(stripped)):
        raise BadField(f"{column} holds {HALF_A_PAIR}", text)
    return tuple(word for word in stripped if word)


HALF_A_PAIR = "half of a surrogate pair, which is no character"


def is_unicode(text: str) -> bool:
    """Whether text has no half of a surrogate pair, which an escape may stand for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_list(text: str, column: str) -> tuple[str, ...]:
    """Return the ids of a printed list; there is none in empty text."""
    return words(text, column) if text.strip(BLANKS) else ()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return ast.literal_eval(text.strip())
