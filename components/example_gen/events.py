"""The event form: what every reader yields and all that follows works on.

Between Beam steps an event is a plain tuple, because Beam encodes tuples of numbers and strings in C and pickles
everything else:

    (user, (CLICK, timestamp, line, item))
    (user, (SHOWN, timestamp, line, session, words, source, item))

A SHOWN row is one result of a search; `item` is "" where the result was not clicked. `timestamp` is unix
milliseconds, `line` the line of the file at which the row starts: together they order the events of a user.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

CLICK: Final = 0
SHOWN: Final = 1

Row = tuple[Any, ...]


class Click(NamedTuple):
    """A click on a recommended item."""

    timestamp: float
    line: int
    item: str


class Search(NamedTuple):
    """A query with the items clicked among its results, in order of first appearance."""

    timestamp: float
    line: int
    words: tuple[str, ...]
    items: tuple[str, ...]


class Timeline(NamedTuple):
    """The events of one user, each kind sorted by (timestamp, line)."""

    user: str
    clicks: list[Click]
    searches: list[Search]

    def without_empty_searches(self) -> "Timeline":
        """Leave out searches with neither a word nor a clicked item: they say nothing, and padding looks like them."""
        return self._replace(searches=[search for search in self.searches if search.words or search.items])

    def items(self) -> set[str]:
        """Every item that the user clicked at any time, recommended or found."""
        found = {item for search in self.searches for item in search.items}
        return found.union(click.item for click in self.clicks)


def rows_in_order(rows: Iterable[Row], kind: int) -> list[Row]:
    """Sort the rows of one kind by timestamp, then by line; Beam hands them over in any order."""
    return sorted(row for row in rows if row[0] == kind)
