"""Reads the single fields of a row: the judgement that `columns` applies to whole columns."""

import ast
import functools
import json
import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from model.inputs import BLANKS

LARGE_FLOAT = (r"^[+-]?(?:\d+\.\d*[eE]\+?\d+|\d+[eE]\+\d+|\d{16,}\.0*)$"
               r"|^-?[\d.e+]+ \(float\d\d\)$")
"""Text that may be a float too large to be one whole number: as Python, Spark and others print it, or as
`parquet_rows.as_text` marks one of less than 64 bits. "1e5" and "5e10" may be ids that are words of a kind.
"""
EXACT_BITS = 53
"""Whole numbers from 2^53 on share their 64-bit float with others."""

UNITS = {"s": (1e11, 1e3), "ms": (1e14, 1.0), "us": (1e17, 1e-3), "ns": (1e20, 1e-6)}
"""Unit of a time to the largest number in it, and the milliseconds that it has; 1e11 seconds is the year 5138."""

ISO = "ISO 8601"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class BadField(ValueError):
    """A field that cannot be read: why, and what stood there."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason, value)
        self.reason = reason
        self.value = value


class LostIds(ValueError):
    """A column whose ids are floats too large to be told apart."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"{column} holds whole numbers as floats that are too large for it, so that different ids are "
                         f"one: {text}. Store the column as integers or as text.")


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


def timestamp(text: str, column: str) -> int:
    """Return unix milliseconds, from an integer or a float such as "1.684742e+12"; parts of one are cut off."""
    value = number(text, column)
    if value < 0:
        raise BadField(f"{column} is negative", text)
    if value >= 1 << 63:
        raise BadField(f"{column} is out of range", text)
    return int(value)


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
    """Return unix milliseconds, from a number in the unit that its magnitude tells, or from ISO 8601 text.

    Text without an offset is in UTC.
    """
    name = unit(text, column)
    if name == ISO:
        value = (_parsed_iso(text) - _EPOCH) // timedelta(milliseconds=1)
    else:
        value = math.floor(number(text, column) * UNITS[name][1])
    if value < 0:
        raise BadField(f"{column} is negative", text)
    return value


def unit(text: str, column: str) -> str:
    """Return the unit of a time: a key of `UNITS` or `ISO`."""
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        number(text, column)
        for name, (limit, _) in UNITS.items():
            if value <= limit:
                return name
        raise BadField(f"{column} is out of range", text)
    try:
        _parsed_iso(text)
    except ValueError:
        raise BadField(f"{column} is neither a number nor an ISO 8601 time", text) from None
    return ISO


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


def _parsed_iso(text: str) -> datetime:
    time = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text.strip()))
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
