"""Turns the rows of one user into a timeline."""

from collections.abc import Iterable

import numpy as np

from components.example_gen.events import CLICK, SHOWN, Click, Row, Search, Timeline, rows_in_order


def build_timeline(user: str, rows: Iterable[Row]) -> Timeline:
    """Sort a user's clicks and gather the result rows of each search.

    Args:
        user: raw id.
        rows: the user's rows in the form of `events`, in any order.
    """
    rows = list(rows)
    clicks = [Click(*row[1:]) for row in rows_in_order(rows, CLICK)]
    return Timeline(user, clicks, _searches(rows_in_order(rows, SHOWN)))


def searches_before(clicks: list[Click], searches: list[Search]) -> list[int]:
    """Count, for each click, the searches strictly earlier than it.

    A search at the very time of a click is not counted: it may have been made because of what the click showed.
    """
    times = np.array([search.timestamp for search in searches])
    return np.searchsorted(times, [click.timestamp for click in clicks], side="left").tolist()


def _searches(shown: list[Row]) -> list[Search]:
    # The session id alone is no key: it recurs with other queries, and rows of a session are repeated, mixed with
    # those of other sessions and in conflict about a click. A row that says "clicked" wins.
    found: dict[tuple[object, ...], tuple[int, dict[str, None]]] = {}
    for _, timestamp, line, session, words, source, item in shown:
        _, items = found.setdefault((timestamp, session, words, source), (line, {}))
        if item:
            items[item] = None
    return [Search(key[0], line, key[2], tuple(items)) for key, (line, items) in found.items()]  # type: ignore[arg-type]
