"""Reads rows by the rules of their columns, and counts those that cannot be read.

Whole columns do the work; only the rows that some column has no answer for are read field by field, which either finds
the value after all or names the reason.
"""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.readers import tables
from components.example_gen.readers.columns import Rule
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.fields import BadField, LostIds


def apply_rules(
    frame: pl.DataFrame, rules: dict[str, Rule], report: FileReport, keep: Sequence[str] = ()
) -> pl.DataFrame:
    """Read the columns of a frame.

    Args:
        frame: `line`, and text by column name.
        rules: name in the result to rule; where several cannot read a row, the first names the reason.
        report: counts the rows that cannot be read.
        keep: numbers to keep beside `line`, where several rows are of one line; the frame is sorted by all of these.

    Returns:
        `line`, `keep` and the values of the rows that can be read, in the order of the frame.

    Raises:
        LogError: for ids that are floats too large to be told apart.
    """
    values = frame.select(LINE, *keep, **{name: rule.whole for name, rule in rules.items()})
    unread = values.select(pl.any_horizontal(pl.col(*rules).is_null())).to_series()
    if not unread.any():
        return values
    rest = _row_by_row(frame.filter(unread), rules, report, (LINE, *keep))
    return pl.concat([values.filter(~unread), rest]).sort(LINE, *keep, maintain_order=True)


def read_file(path: str, rules: dict[str, Rule], report: FileReport) -> Iterator[pl.DataFrame]:
    """Stream the rows of a file that can be read; see `apply_rules` and `tables.read_rows`."""
    for frame in tables.read_rows(path, list(dict.fromkeys(rule.column for rule in rules.values())), report):
        yield apply_rules(frame, rules, report)


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


def _row_by_row(frame: pl.DataFrame, rules: dict[str, Rule], report: FileReport, keep: Sequence[str]) -> pl.DataFrame:
    good = []
    for row in frame.iter_rows(named=True):
        try:
            values = (rule.one(row[rule.column], rule.column) for rule in rules.values())
            good.append((*(row[name] for name in keep), *values))
        except BadField as error:
            report.set_aside(row[LINE], error.reason, error.value)
        except LostIds as error:
            raise LogError(f"{report.file}, line {row[LINE]}: {error}") from error
    schema = {**{name: frame.schema[name] for name in keep}, **{name: rule.dtype for name, rule in rules.items()}}
    return pl.DataFrame(good, schema, orient="row")
