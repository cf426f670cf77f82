"""Rows in the event form, written as one would by hand, and what should become of them, row by row."""

import polars as pl

from components.example_gen.events import CLICKS_SCHEMA, SHOWN_SCHEMA
from components.example_gen.settings import LogSettings


def click(timestamp, line, item, user="u"):
    return {"user": user, "item": item, "timestamp": timestamp, "line": line}


def shown(timestamp, line, item="", clicked=None, session="s", words=("w",), source="", user="u"):
    return {
        "user": user,
        "timestamp": timestamp,
        "line": line,
        "session": session,
        "words": list(words),
        "source": source,
        "item": item,
        "clicked": bool(item) if clicked is None else clicked,
    }


def frames(rows):
    """Both frames of `Events`, whatever the order of the rows."""
    parts = [[row for row in rows if ("session" in row) == is_shown] for is_shown in (False, True)]
    return pl.DataFrame(parts[0], schema=CLICKS_SCHEMA), pl.DataFrame(parts[1], schema=SHOWN_SCHEMA)


def settings_of(**values):
    return LogSettings(log_dir="log", **{"unclicked_search": "query", **values})


def of_user(timelines, index=0):
    """Clicks as (timestamp, item) and searches as (timestamp, words, items) of one user."""
    clicks = timelines.clicks[slice(*timelines.click_offsets[index : index + 2])]
    searches = timelines.searches[slice(*timelines.search_offsets[index : index + 2])]
    return (
        list(clicks.select("timestamp", "item").iter_rows()),
        [
            (time, tuple(words), tuple(items))
            for time, words, items in searches.select("timestamp", "words", "items").iter_rows()
        ],
    )


def requests_of(timelines, split):
    """(split, target's time, target's item, clicks before, searches before), in order."""
    found = []
    for at, is_test in zip(split.requests, split.is_test, strict=True):
        user = split.user[at]
        first_click, first_search = timelines.click_offsets[user], timelines.search_offsets[user]
        clicks = timelines.clicks["item"].to_list()[first_click : first_click + split.clicks_before[at]]
        searches = timelines.searches["timestamp"].to_list()[first_search : first_search + split.searches_before[at]]
        found.append(("test" if is_test else "eval", *timelines.clicks.row(at)[::-1], clicks, searches))
    return found


def random_log(rng, users=3, rows=40, times=30, items=6):
    """Rows with ties of every kind."""
    log = []
    for line in range(rows):
        user, time, item = f"u{rng.integers(users)}", int(rng.integers(times)), f"i{rng.integers(items)}"
        if rng.random() < 0.6:
            log.append(click(time, line, item, user))
        else:
            log.append(
                shown(
                    time,
                    line,
                    item,
                    bool(rng.random() < 0.5),
                    f"s{rng.integers(3)}",
                    "ab"[: rng.integers(3)],
                    user=user,
                )
            )
    rng.shuffle(log)
    return log
