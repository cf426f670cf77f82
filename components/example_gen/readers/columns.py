"""Rules that turn columns of raw text into ids, numbers, times and words, at once or one field at a time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from components.example_gen.readers import fields
from components.example_gen.readers.fields import BadField
from model.inputs import BLANKS


class Rule(NamedTuple):
    """How a column is read.

    Attributes:
        column: name in the file.
        whole: of the text column to values, null where `one` has to look.
        one: text and name of the column to value; raises BadField.
        dtype: of the values.
    """

    column: str
    whole: pl.Expr
    one: Callable[[str, str], Any]
    dtype: Any


def identifier(column: str) -> Rule:
    """An id: text without surrounding blanks, not empty."""
    text = _stripped(column)
    return Rule(column, pl.when((text != "") & ~text.str.contains(fields.LARGE_FLOAT)).then(text), fields.identifier,
                pl.String)


def optional(column: str) -> Rule:
    """An id that may be empty."""
    text = _stripped(column)
    return Rule(column, pl.when(~text.str.contains(fields.LARGE_FLOAT)).then(text), fields.optional, pl.String)


def number(column: str) -> Rule:
    """A finite number."""
    return Rule(column, _finite(column), fields.number, pl.Float64)


def timestamp(column: str) -> Rule:
    """Unix milliseconds, printed as an integer or a float."""
    value = _finite(column)
    return Rule(column, pl.when(value >= 0).then(value).cast(pl.Int64, strict=False), fields.timestamp, pl.Int64)


def flag(column: str) -> Rule:
    """True or false, or a number that is above 0 or not."""
    text, value = _stripped(column).str.to_lowercase(), _finite(column)
    whole = pl.when(text == "true").then(True).when(text == "false").then(False).otherwise(value > 0)
    return Rule(column, whole, fields.flag, pl.Boolean)


def moment(column: str) -> Rule:
    """A time in seconds, milliseconds, microseconds or nanoseconds, or as ISO 8601 text: unix milliseconds."""
    number = _finite(column)
    scaled: Any = pl.when(number < 0).then(None)
    for limit, factor in fields.UNITS.values():
        scaled = scaled.when(number <= limit).then(number * factor)
    text = _stripped(column).str.replace(" ", "T", literal=True)
    text = pl.when(text.str.contains(r"T.*(?:Z|[+-][0-9:]{5,6})$")).then(text).otherwise(text + "Z")
    parsed = text.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False).dt.epoch("ms")
    whole = pl.when(number.is_null()).then(parsed).otherwise(scaled.cast(pl.Int64, strict=False))
    return Rule(column, pl.when(whole >= 0).then(whole), fields.moment, pl.Int64)


def unit(column: str) -> Rule:
    """The unit of a time that `moment` reads: a key of `fields.UNITS` or "ISO 8601"."""
    number = _finite(column)
    whole: Any = pl.when(number.is_null()).then(pl.lit(fields.ISO))
    for name, (limit, _) in fields.UNITS.items():
        whole = whole.when(number <= limit).then(pl.lit(name))
    return Rule(column, whole, fields.unit, pl.String)


def words(column: str, one: Callable[[str, str], Sequence[str]] = fields.words) -> Rule:
    """A list of words in one text, by default as a list is printed, or a list that it is already.

    Each distinct text is read once a frame.
    """
    dtype = pl.List(pl.String)
    whole = pl.col(column).map_batches(lambda values: _lists(values, column, one), return_dtype=dtype)
    return Rule(column, whole, lambda value, name: one(value, name) if isinstance(value, str) else _words(value), dtype)


def item_list(column: str) -> Rule:
    """A list of ids, or one printed as text; empty text is an empty list."""
    rule = words(column, fields.id_list)

    def whole(values: pl.Series) -> pl.Series:
        items = _lists(values, column, fields.id_list)
        lost = items.list.eval(pl.element().str.contains(fields.LARGE_FLOAT)).list.any()
        return pl.select(pl.when(~lost).then(items)).to_series()

    def one(value: Any, name: str) -> Sequence[str]:
        return [fields.identifier(item, name) for item in rule.one(value, name)]

    return rule._replace(whole=pl.col(column).map_batches(whole, return_dtype=rule.dtype), one=one)


def _lists(text: pl.Series, column: str, one: Callable[[str, str], Sequence[str]]) -> pl.Series:
    if isinstance(text.dtype, pl.List):
        words = pl.element().str.strip_chars(BLANKS)
        return text.list.eval(words.filter(words != ""))
    distinct = text.unique()
    # Through Arrow: polars takes fifty times as long over lists of Python's.
    lists = pa.array([_or_none(one, value, column) for value in distinct], pa.large_list(pa.large_string()))
    read = pl.DataFrame({"text": distinct, "words": pl.from_arrow(lists)})
    return text.to_frame("text").join(read, on="text", how="left", maintain_order="left")["words"]


def _words(values: list[str]) -> list[str]:
    return [word for value in values if (word := value.strip(BLANKS))]


def _or_none(one: Callable[[str, str], Sequence[str]], text: str, column: str) -> Sequence[str] | None:
    try:
        return one(text, column)
    except BadField:
        return None


def _stripped(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars(BLANKS)


def _finite(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)
