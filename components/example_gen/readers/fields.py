"""Reads the single fields of a row: the judgement that `columns` applies to whole columns."""

import ast
import functools
import json
import math
from typing import Any

BLANKS = "".join(chr(code) for code in (*range(9, 14), *range(28, 33), 133, 160, 5760, *range(8192, 8203), 8232, 8233,
                                        8239, 8287, 12288))
"""What `str.strip` takes away."""


class BadField(ValueError):
    """A field that cannot be read: why, and what stood there."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason, value)
        self.reason = reason
        self.value = value


def identifier(text: str, column: str) -> str:
    """Return the text of an id without surrounding blanks."""
    text = text.strip()
    if not text:
        raise BadField(f"{column} is empty", text)
    return text


def optional(text: str, column: str) -> str:
    """Return text without surrounding blanks; it may be empty."""
    return text.strip()


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


@functools.lru_cache(maxsize=1 << 16)  # the rows of a session repeat its query, and so do searches
def words(text: str, column: str) -> tuple[str, ...]:
    """Return the words of a list printed as JSON or Python does, such as "[1, 2]" or "['a', 'b']"."""
    try:
        values = _parsed(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # what literal_eval documents
        values = None
    if not isinstance(values, list) or not all(type(value) in (int, str) for value in values):
        raise BadField(f"{column} is no list of integers or strings", text)
    stripped = (str(value).strip() for value in values)
    return tuple(word for word in stripped if word)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return ast.literal_eval(text.strip())
