"""What the users of a shard came to, in a form that adds up."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

NAMED = 3
"""Users that a sentence names at the most."""


class Tally(NamedTuple):
    """Figures of some users.

    Attributes:
        counts: by name.
        ranges: least and largest value, by name; without those of nothing.
        users: the first few ids that something holds of, sorted, by name.
    """

    counts: dict[str, int]
    ranges: dict[str, tuple[int, int]]
    users: dict[str, list[str]]


def add(tallies: Iterable[Tally]) -> Tally:
    """Add counts, widen ranges and keep the first users."""
    counts: Counter[str] = Counter()
    ranges: dict[str, tuple[int, int]] = {}
    users: dict[str, list[str]] = {}
    for more in tallies:
        counts.update(more.counts)
        for name, (least, largest) in more.ranges.items():
            known = ranges.get(name, (least, largest))
            ranges[name] = min(known[0], least), max(known[1], largest)
        for name, ids in more.users.items():
            users[name] = sorted({*users.get(name, []), *ids})[:NAMED]
    return Tally(dict(counts), ranges, users)
