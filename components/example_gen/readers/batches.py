"""What every reader does with a batch of rows: counts its clicks, cuts its queries, gives it the event form."""

import polars as pl

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
    count(report.repair, f"more than {limit} words", long.select("line", pl.col("words").list.join(" ")),
          settings.max_samples)
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


def count_units(rows: pl.DataFrame, column: str, settings: LogSettings, report: FileReport) -> None:
    """Count the times that were not in milliseconds as repaired.

    Args:
        rows: `line`, `timestamp` and `unit`, see `columns.unit`.
        column: of the times, by its name in the file.
        settings: of the run.
        report: to count in.
    """
    others = rows.filter(pl.col("unit") != "ms")
    for (unit,), part in others.group_by("unit", maintain_order=True):
        count(report.repair, f"{column} in {unit}", part.select("line", pl.col("timestamp").cast(pl.String)),
              settings.max_samples)
