"""Rules that turn columns of raw text into ids, numbers, times and words, at once or one field at a time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from components.example_gen import times
from components.example_gen.readers import fields
from components.example_gen.readers.fields import BadField
from model.contract import BLANKS


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
    return Rule(
        column, pl.when((text != "") & ~text.str.contains(fields.LARGE_FLOAT)).then(text), fields.identifier, pl.String
    )


def optional(column: str) -> Rule:
    """An id that may be empty."""
    text = _stripped(column)
    return Rule(column, pl.when(~text.str.contains(fields.LARGE_FLOAT)).then(text), fields.optional, pl.String)


def number(column: str) -> Rule:
    """A finite number."""
    return Rule(column, _finite(column), fields.number, pl.Float64)


def flag(column: str) -> Rule:
    """True or false, or a number that is above 0 or not."""
    text, value = _stripped(column).str.to_lowercase(), _finite(column)
    whole = pl.when(text == "true").then(True).when(text == "false").then(False).otherwise(value > 0)
    return Rule(column, whole, fields.flag, pl.Boolean)


def time(column: str) -> dict[str, Rule]:
    """The rules of a column of times: `timestamp`, its `unit`, and the text as it stands in `time`."""
    as_written = Rule(column, _stripped(column), lambda text, _: text.strip(BLANKS), pl.String)
    return {"timestamp": moment(column), "unit": unit(column), "time": as_written}


def moment(column: str) -> Rule:
    """A time: unix milliseconds, see `fields.moment`."""
    return Rule(column, pl.col(column).map_batches(_moments, return_dtype=pl.Int64), fields.moment, pl.Int64)


def unit(column: str) -> Rule:
    """The unit of a time, see `fields.unit`."""
    return Rule(column, pl.col(column).map_batches(_units, return_dtype=pl.String), fields.unit, pl.String)


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


def _moments(text: pl.Series) -> pl.Series:
    numbers, value = _time_numbers(text), pl.col("number")
    whole: Any = pl.when(_is_calendar(value) | _is_ordinal(value)).then(value)
    for limit, factor in times.UNITS.values():
        whole = whole.when(value <= limit).then((value * factor + times.HALF_MICROSECOND).floor())
    moments = numbers.select(whole.cast(pl.Int64)).to_series()
    return moments.fill_null(_iso_times(text)["moment"]) if moments.has_nulls() else moments


def _units(text: pl.Series) -> pl.Series:
    numbers, value = _time_numbers(text), pl.col("number")
    whole: Any = (
        pl.when(_is_calendar(value)).then(pl.lit(times.CALENDAR)).when(_is_ordinal(value)).then(pl.lit(times.ORDINAL))
    )
    for name, (limit, _) in times.UNITS.items():
        whole = whole.when(value <= limit).then(pl.lit(name))
    units = numbers.select(whole).to_series()
    return units.fill_null(_iso_times(text)["unit"]) if units.has_nulls() else units


def _time_numbers(text: pl.Series) -> pl.DataFrame:
    """Column `number`; null where the text is none, or none that can be a time."""
    value = _finite("number")
    return text.to_frame("number").select(
        pl.when((value >= 0) & (value < times.UNITS["ns"][0])).then(value).alias("number")
    )


def _is_ordinal(number: pl.Expr) -> pl.Expr:
    return (number < times.EARLIEST) & (number == number.floor())


def _is_calendar(number: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(_is_date((number / part).floor()) for part in times.CALENDAR_PARTS)


def _is_date(digits: pl.Expr) -> pl.Expr:
    return (
        digits.is_between(19000101, 20991231)
        & (digits // 100 % 100).is_between(1, 12)
        & (digits % 100).is_between(1, 31)
    )


def _iso_times(text: pl.Series) -> pl.DataFrame:
    """Columns `moment` and `unit` of texts; null where `times.iso_time` raises."""
    parts = text.str.strip_chars(BLANKS).str.extract_groups(f"^{times.TIME_TEXT}$").struct.unnest()

    def number(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.Int64).fill_null(0)

    day = pl.col("year") + pl.col("month").str.zfill(2) + pl.col("day").str.zfill(2)
    days = day.str.to_date("%Y%m%d", strict=False).cast(pl.Int32).cast(pl.Int64)
    ahead = number("offset_hour") * 60 + number("offset_minute")
    minutes = (days * 24 + number("hour")) * 60 + number("minute") - pl.when(sign="-").then(-ahead).otherwise(ahead)
    thousandths = pl.col("fraction").fill_null("").str.head(3).str.pad_end(3, "0").cast(pl.Int64)
    unit = pl.when(pl.col("offset").is_null()).then(pl.lit(times.ISO_AS_UTC)).otherwise(pl.lit(times.ISO))
    return parts.select(
        moment=(minutes * 60 + number("second")) * 1000 + thousandths, unit=pl.when(days.is_not_null()).then(unit)
    )
