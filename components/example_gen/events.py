"""The event form: what every reader yields and all that follows works on.

A reader yields `Events`, batches of rows as they come in a file. A row of `clicks` is a click on a recommended item; a
row of `shown` is one result of a search, clicked or not. `line` orders the rows of a file whose times are equal: where
there are several files, the flow puts the file's number in front of it, so that a log has one order whoever reads it.
"""

from typing import Final, NamedTuple

import polars as pl

CLICKS_SCHEMA: Final = pl.Schema(
    {"user": pl.String(), "item": pl.String(), "timestamp": pl.Int64(), "line": pl.Int64()}
)
"""Columns of `Events.clicks`: raw ids, unix milliseconds, and the line of the file at which the row starts.

Where a row of the file holds a list of results, `line` is the running number of the result in the file.
"""

SHOWN_SCHEMA: Final = pl.Schema(
    {
        "user": pl.String(),
        "timestamp": pl.Int64(),
        "line": pl.Int64(),
        "session": pl.String(),
        "words": pl.List(pl.String),
        "source": pl.String(),
        "item": pl.String(),
        "clicked": pl.Boolean(),
    }
)
"""Columns of `Events.shown`: none is null. Rows of equal user, timestamp, session, words and source are one search.

`item` is "" for a search of which no result is known; `source` is "" where the log does not say.
"""


class Events(NamedTuple):
    """Rows of one batch in the order of the file; either frame may be empty."""

    clicks: pl.DataFrame
    shown: pl.DataFrame


def no_clicks() -> pl.DataFrame:
    """An empty `Events.clicks`."""
    return pl.DataFrame(schema=CLICKS_SCHEMA)


def no_shown() -> pl.DataFrame:
    """An empty `Events.shown`."""
    return pl.DataFrame(schema=SHOWN_SCHEMA)
