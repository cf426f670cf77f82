"""Reads the single fields of a row."""

import ast
import functools
import json
import math
from typing import Any


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


def timestamp(text: str, column: str) -> float:
    """Return unix milliseconds, from an integer or a float such as "1.684742e+12"."""
    value = number(text, column)
    if value < 0:
        raise BadField(f"{column} is negative", text)
    return value


def number(text: str, column: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        raise BadField(f"{column} is no number", text) from None
    if not math.isfinite(value):
        raise BadField(f"{column} is not finite", text)
    return value


@functools.lru_cache(maxsize=1 << 16)  # the rows of a session repeat its query
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
