"""What every reader does with a batch of rows: counts its clicks, cuts its queries, gives it the event form."""

from datetime import datetime, timezone

import polars as pl

from components.example_gen import times
from components.example_gen.events import CLICKS_SCHEMA, SHOWN_SCHEMA, Events, no_clicks, no_shown
from components.example_gen.file_report import FileReport
from components.example_gen.readers.rows import count
from components.example_gen.settings import LogSettings


def click_events(rows: pl.DataFrame, report: FileReport) -> Events:
    """Keep recommended items that were clicked.

    Args:
        rows: columns of `CLICKS_SCHEMA` and `clicked`.
        report: counts the clicks, and the rows without.
    """
    clicks = rows.filter("clicked").select(*CLICKS_SCHEMA)
    report.clicks += clicks.height
    report.unclicked += rows.height - clicks.height
    _add_times(clicks, report)
    return Events(clicks, no_shown())


def cut_queries(rows: pl.DataFrame, settings: LogSettings, report: FileReport) -> pl.DataFrame:
    """Keep the first `words_per_search` words of each query.

    Args:
        rows: `line`, by its number in the file, and `words`, among others.
        settings: of the run.
        report: counts the rows of longer queries.
    """
    limit = settings.words_per_search
    long = rows.filter(pl.col("words").list.len() > limit)
    count(
        report.repair,
        f"more than {limit} words",
        long.select("line", pl.col("words").list.join(" ")),
        settings.max_samples,
    )
    return rows.with_columns(pl.col("words").list.head(limit)) if long.height else rows


def search_events(rows: pl.DataFrame, report: FileReport) -> Events:
    """Keep results of searches.

    Args:
        rows: columns of `SHOWN_SCHEMA`, the queries cut.
        report: its period is widened by the clicks.
    """
    _add_times(rows.filter("clicked"), report)
    return Events(no_clicks(), rows.select(*SHOWN_SCHEMA))


def _add_times(clicks: pl.DataFrame, report: FileReport) -> None:
    first, last = clicks.select(pl.min("timestamp").alias("first"), pl.max("timestamp").alias("last")).row(0)
    report.add_times(first, last)


def keep_times(rows: pl.DataFrame, column: str, report: FileReport) -> pl.DataFrame:
    """Set aside the rows whose times do not fit the column, and count those not in milliseconds as repaired.

    The first rows of a file decide whether it holds dates or ordinal numbers.

    Args:
        rows: `line` and what the rules of `columns.time` give.
        column: of the times, by its name in the file.
        report: to count in; its `last_year` is the last in which a date may lie.
    """
    unit, timestamp = pl.col("unit"), pl.col("timestamp")
    is_ordinal = unit == times.ORDINAL
    if times.ORDINAL in report.times or not report.times and 2 * rows.filter(is_ordinal).height > rows.height:
        fits, other = is_ordinal, times.STRAY
    else:
        end = datetime(report.last_year + 1, 1, 1, tzinfo=timezone.utc).timestamp() * 1000
        fits, other = ~is_ordinal & timestamp.is_between(times.EARLIEST * 1000, end, closed="left"), times.OUTSIDE
    rows = rows.with_columns(pl.when(fits | (unit == times.CALENDAR)).then(unit).otherwise(pl.lit(other)))
    reasons = {
        times.CALENDAR: f"{column} is a calendar date written as a number",
        times.OUTSIDE: f"{column} is outside 1990 to {report.last_year}",
        times.STRAY: f"{column} is no ordinal number",
    }
    for name in rows["unit"].unique(maintain_order=True):
        part = rows.filter(unit == name).select("line", "time", timestamp.cast(pl.String))
        report.add_unit(column, name, part.height, part["time"][0])
        if name in reasons:
            count(report.set_aside, reasons[name], part.select("line", "time"), report.max_samples)
        elif name not in ("ms", times.ORDINAL):
            count(report.repair, f"{column} in {name}", part.select("line", "timestamp"), report.max_samples)
    return rows.filter(~unit.is_in(times.BAD)).drop("time")
