"""Turns columns of raw text into ids, numbers, times and words, and counts the rows that have no such thing.

A rule reads a whole column at once, and one field at a time. Columns do the work; only the rows that some column has
no answer for are read field by field, which either finds the value after all or names the reason.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from components.example_gen.file_report import FileReport
from components.example_gen.readers import fields
from components.example_gen.readers.csv_rows import LINE, read_rows
from components.example_gen.readers.fields import BadField


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
    return Rule(column, pl.when(text != "").then(text), fields.identifier, pl.String)


def optional(column: str) -> Rule:
    """Text that may be empty."""
    return Rule(column, _stripped(column), fields.optional, pl.String)


def number(column: str) -> Rule:
    """A finite number."""
    return Rule(column, _finite(column), fields.number, pl.Float64)


def timestamp(column: str) -> Rule:
    """Unix milliseconds, printed as an integer or a float."""
    value = _finite(column)
    return Rule(column, pl.when(value >= 0).then(value).cast(pl.Int64, strict=False), fields.timestamp, pl.Int64)


def words(column: str, one: Callable[[str, str], Sequence[str]] = fields.words) -> Rule:
    """A list of words in one text, by default a printed list; each distinct text is read once a frame."""
    dtype = pl.List(pl.String)
    whole = pl.col(column).map_batches(lambda text: _each_distinct(text, column, one), return_dtype=dtype)
    return Rule(column, whole, one, dtype)


def read(frame: pl.DataFrame, rules: dict[str, Rule], report: FileReport) -> pl.DataFrame:
    """Read the columns of a frame.

    Args:
        frame: `line`, and text by column name.
        rules: name in the result to rule; where several cannot read a row, the first names the reason.
        report: counts the rows that cannot be read.

    Returns:
        `line` and the values of the rows that can be read, in the order of the frame.
    """
    values = frame.select(LINE, **{name: rule.whole for name, rule in rules.items()})
    unread = values.select(pl.any_horizontal(pl.col(*rules).is_null())).to_series()
    if not unread.any():
        return values
    rest = _row_by_row(frame.filter(unread), rules, report)
    return pl.concat([values.filter(~unread), rest]).sort(LINE, maintain_order=True)


def read_csv(path: str, rules: dict[str, Rule], report: FileReport) -> Iterator[pl.DataFrame]:
    """Stream the rows of a CSV file that can be read; see `read` and `csv_rows.read_rows`."""
    for frame in read_rows(path, list(dict.fromkeys(rule.column for rule in rules.values())), report):
        yield read(frame, rules, report)


def count(note: Callable[[int, str, str, int], None], reason: str, rows: pl.DataFrame, max_samples: int) -> None:
    """Count rows under one reason.

    Args:
        note: `FileReport.set_aside` or `.repair`.
        reason: of all of them.
        rows: their `line` and a value to show, in the order of the file.
        max_samples: that the report keeps of a reason.
    """
    for line, value in rows.head(max_samples).iter_rows():
        note(line, reason, value, 1)
    for line, value in rows.slice(max_samples, 1).iter_rows():
        note(line, reason, value, rows.height - max_samples)


def _row_by_row(frame: pl.DataFrame, rules: dict[str, Rule], report: FileReport) -> pl.DataFrame:
    good = []
    for row in frame.iter_rows(named=True):
        try:
            good.append((row[LINE], *(rule.one(row[rule.column], rule.column) for rule in rules.values())))
        except BadField as error:
            report.set_aside(row[LINE], error.reason, error.value)
    schema = {LINE: pl.Int64, **{name: rule.dtype for name, rule in rules.items()}}
    return pl.DataFrame(good, schema, orient="row")


def _each_distinct(text: pl.Series, column: str, one: Callable[[str, str], Sequence[str]]) -> pl.Series:
    distinct = text.unique()
    # Through Arrow: polars takes fifty times as long over lists of Python's.
    lists = pa.array([_or_none(one, value, column) for value in distinct], pa.large_list(pa.large_string()))
    read = pl.DataFrame({"text": distinct, "words": pl.from_arrow(lists)})
    return text.to_frame("text").join(read, on="text", how="left", maintain_order="left")["words"]


def _or_none(one: Callable[[str, str], Sequence[str]], text: str, column: str) -> Sequence[str] | None:
    try:
        return one(text, column)
    except BadField:
        return None


def _stripped(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars(fields.BLANKS)


def _finite(column: str) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)
