"""Holds the two tables of a log against each other: do their users, their times and their events belong together?"""

from typing import Any

import numpy as np
import polars as pl

from components.example_gen.tally import NAMED, Tally

MIN_USERS_IN_BOTH = 0.05
"""Of the users of the table that has fewer."""
MIN_OVERLAP = 0.1
"""Of the shorter period, each a day longer at both ends: a log may hold the searches just before its clicks."""
MIN_SEEN = 0.01
"""Of the test requests, those that have a search before them."""
MAX_REPEATED = 0.1
"""Of the clicks."""
NAME_LENGTH = 40
_DAY = 86_400_000


def compare_tables(clicks: pl.DataFrame, shown: pl.DataFrame) -> Tally:
    """Compare what was read of some users, before any rule leaves something out.

    Args:
        clicks: all of theirs, in the form of `events`; of repeated ones those that count.
        shown: all their results of searches, in the same form.
    """
    of_clicks, of_searches = (events["user"].unique().to_frame() for events in (clicks, shown))
    only_clicks, only_searches = (
        one.join(other, on="user", how="anti")["user"]
        for one, other in ((of_clicks, of_searches), (of_searches, of_clicks))
    )
    values = (
        ("click_times", clicks["timestamp"]),
        ("search_times", shown["timestamp"]),
        ("clicks_of_a_user", clicks.group_by("user").len()["len"]),
    )
    return Tally(
        {
            "users_of_clicks": of_clicks.height,
            "users_of_searches": of_searches.height,
            "users_of_both": of_clicks.height - only_clicks.len(),
        },
        {name: (int(column.min()), int(column.max())) for name, column in values if column.len()},  # type: ignore[arg-type]
        {
            name: users.bottom_k(NAMED).sort().to_list()
            for name, users in (("only_clicks", only_clicks), ("only_searches", only_searches))
        },
    )


def find_warnings(report: dict[str, Any]) -> list[str]:
    """Say what makes it doubtful that the tables belong together, with the likely cause; nothing where all is well.

    Args:
        report: `log`, `tables`, `rules` and `splits` count.
    """
    found, tables, rules, splits = [], report["tables"], report["rules"], report["splits"]
    clicks, repeated = report["log"]["clicks"], rules["repeated_clicks"]
    if repeated > MAX_REPEATED * (clicks + repeated):
        found.append(
            f"{repeated:,} clicks repeat another one of the same user, item and time, and {clicks:,} do not: "
            "is a part of the log there twice?"
        )
    if not tables["users_of_searches"]:
        return [*found, "The log has no search: the model learns from clicks alone."]
    if not report["log"]["searches"] and not rules["searches_left_out"]:
        return [
            *found,
            f"No search is left: {rules['unclicked_dropped']:,} have no click (`unclicked_search` = drop), "
            f"{rules['empty_searches']:,} neither a word nor an item.",
        ]
    asked, searched = splits["test_requests"], splits["test_requests_with_search"]
    seen = f"{searched:,} of {asked:,} test requests have a search before them"
    if apart := [reason for reason in (_users(tables), _periods(tables)) if reason]:
        return [*found, *(f"{reason} {seen}." for reason in apart)]
    if not report["log"]["searches"]:
        return [
            *found,
            f"No search is left: {rules['searches_left_out']:,} are of users with fewer clicks than `min_clicks`.",
        ]
    if searched < MIN_SEEN * asked:
        found.append(
            f"Only {seen}, though {tables['users_of_both']:,} users have both clicks and searches: are the "
            "times of the two tables in one unit and one time zone?"
        )
    return found


def name_users(users: list[str]) -> str:
    """A few users in a sentence: on one line and not too long, whatever their ids are."""
    return ", ".join(repr(user[:NAME_LENGTH]) for user in users)


def moment(milliseconds: int) -> str:
    """A time in UTC to the minute, of whatever year."""
    return str(np.datetime_as_string(np.datetime64(milliseconds, "ms"), unit="m")).replace("T", " ")


def _users(tables: dict[str, Any]) -> str | None:
    clicking, searching, both = (tables[f"users_of_{name}"] for name in ("clicks", "searches", "both"))
    if both >= MIN_USERS_IN_BOTH * min(clicking, searching):
        return None
    return (
        f"{both:,} users have both clicks and searches, {clicking - both:,} have clicks alone (such as "
        f"{name_users(tables['only_clicks'])}), {searching - both:,} searches alone (such as "
        f"{name_users(tables['only_searches'])}): are the ids of users written alike in both tables?"
    )


def _periods(tables: dict[str, Any]) -> str | None:
    if tables["click_times"] is None:
        return None
    periods = [(first - _DAY, last + _DAY) for first, last in (tables["click_times"], tables["search_times"])]
    overlap = min(last for _, last in periods) - max(first for first, _ in periods)
    if overlap >= MIN_OVERLAP * min(last - first for first, last in periods):
        return None
    clicks, searches = (" to ".join(map(moment, tables[name])) for name in ("click_times", "search_times"))
    return (
        f"Clicks are from {clicks}, searches from {searches}: are both tables of one period, and their times in "
        "one unit?"
    )
