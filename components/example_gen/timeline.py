"""Puts the rows of many users in order, and gathers the result rows of each search."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from components.example_gen.settings import LogSettings

Ints = npt.NDArray[np.int64]
_SEARCH = ["user", "timestamp", "session", "words", "source"]


class TimelineColumns(NamedTuple):
    """The events of U users, sorted by id; each kind sorted by user, time and place in the log.

    Attributes:
        users: raw ids, `[U]`.
        clicks: columns `item` and `timestamp`; rows `click_offsets[u]` to `click_offsets[u + 1]` are user u's.
        click_offsets: `[U + 1]`.
        searches: columns `timestamp`, `words` and `items`, the latter two lists, and `clicked`, false where `items` are
            none or stand for a click; rows as of `clicks`.
        search_offsets: `[U + 1]`.
    """

    users: pl.Series
    clicks: pl.DataFrame
    click_offsets: Ints
    searches: pl.DataFrame
    search_offsets: Ints


def build_timelines(
    clicks: pl.DataFrame, shown: pl.DataFrame, settings: LogSettings
) -> tuple[TimelineColumns, Counter[str]]:
    """Sort clicks, gather searches, and leave out what the reading rules leave out.

    Args:
        clicks, shown: all rows of some users, in the form of `events`, in any order; `line` orders them over all files.
        settings: `unclicked_search`, `items_per_search` and `min_clicks` count.

    Returns:
        The timelines, and how often each rule applied.
    """
    clicks = clicks.sort("user", "timestamp", "line")
    searches, counts = gather_searches(shown, settings)
    if settings.min_clicks:
        active = clicks.group_by("user").len().filter(pl.col("len") >= settings.min_clicks)
        before = clicks.height, searches.height, _users(clicks, searches).len()
        clicks, searches = (
            events.join(active, on="user", how="semi", maintain_order="left") for events in (clicks, searches)
        )
        counts.update(
            clicks_left_out=before[0] - clicks.height,
            searches_left_out=before[1] - searches.height,
            users_left_out=before[2] - _users(clicks, searches).len(),
        )
    users = _users(clicks, searches)
    clicked = searches.filter("clicked").height
    counts.update(
        users=users.len(),
        users_with_clicks=clicks["user"].n_unique(),
        users_with_searches=searches["user"].n_unique(),
        clicks=clicks.height,
        searches=searches.height,
        searches_with_click=clicked,
        searches_without_click=searches.height - clicked,
    )
    return TimelineColumns(
        users,
        clicks.select("item", "timestamp"),
        _offsets(users, clicks),
        searches.select("timestamp", "words", "items", "clicked"),
        _offsets(users, searches),
    ), counts


def distinct_clicks(clicks: pl.DataFrame, settings: LogSettings) -> pl.DataFrame:
    """Keep the first of the rows of equal user, item and time, unless `repeated_clicks` keeps them all."""
    if settings.repeated_clicks == "keep":
        return clicks
    return clicks.sort("line").unique(["user", "item", "timestamp"], keep="first")


def gather_searches(shown: pl.DataFrame, settings: LogSettings) -> tuple[pl.DataFrame, Counter[str]]:
    """Gather the result rows of each search.

    A session id alone is no key: it recurs with other queries. Rows of a session are repeated, mixed with those of
    others and in conflict about a click; a row that says "clicked" wins. Searches with neither a word nor an item say
    nothing, and padding looks like them: they are left out.

    Returns:
        Columns `user`, `timestamp`, `line` (of the first row), `words`, `items` and `clicked`, sorted by the first
        three; and counts.
    """
    key = [*_SEARCH[:3], "query", "source"]
    rows = shown.with_columns(query=pl.col("words").list.join("\x1f"))
    results = rows.group_by(*key, "item").agg(
        pl.col("line").min(), pl.col("words").first(), pl.col("clicked").any(), flags=pl.col("clicked").n_unique()
    )
    counts: Counter[str] = Counter(
        repeated_results=rows.height - results.height, conflicting_clicks=int((results["flags"] > 1).sum())
    )
    item, clicked = pl.col("item"), pl.col("clicked")
    searches = (
        results.sort(*key, "line")
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("line").min(),
            pl.col("words").first(),
            items=item.filter(clicked & (item != "")),
            first=item.filter(item != "").first(),
            clicked=clicked.any(),
        )
    )
    clicks = pl.col("items").list.len()
    counts["searches_cut"] = searches.filter(clicks > settings.items_per_search).height
    unclicked = ~pl.col("clicked")
    if settings.unclicked_search == "first_shown":
        shown_first = unclicked & pl.col("first").is_not_null()
        counts["unclicked_first_shown"] = searches.filter(shown_first).height
        searches = searches.with_columns(items=pl.when(shown_first).then(pl.concat_list("first")).otherwise("items"))
    elif settings.unclicked_search == "drop":
        counts["unclicked_dropped"] = searches.filter(unclicked).height
        searches = searches.filter(~unclicked)
    empty = (pl.col("words").list.len() == 0) & (pl.col("items").list.len() == 0)
    counts["empty_searches"] = searches.filter(empty).height
    kept = searches.filter(~empty).select("user", "timestamp", "line", "words", "items", "clicked")
    return kept.sort("user", "timestamp", "line"), counts


def _users(*events: pl.DataFrame) -> pl.Series:
    return pl.concat([part["user"] for part in events]).unique().sort()


def _offsets(users: pl.Series, events: pl.DataFrame) -> Ints:
    of_users = users.to_frame().join(events.group_by("user").len(), on="user", how="left", maintain_order="left")
    return np.concatenate([[0], of_users["len"].fill_null(0).to_numpy().astype(np.int64).cumsum()])
