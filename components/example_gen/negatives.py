"""Draws the negatives of a request: seeded, distinct, none that the user ever clicked."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.example_gen.splits import Request

_ROUNDS = 4
"""Rounds of drawing with rejection, before an exact draw that scans the pool."""

Indices = npt.NDArray[np.int64]


class ItemPool(NamedTuple):
    """Items that can be recommended, sorted by id, and the clicks of each, summed up to and with it."""

    items: list[bytes]
    cumulative_clicks: Indices

    @classmethod
    def of(cls, clicks: Iterable[tuple[str, int]]) -> "ItemPool":
        """Build the pool from (item, clicks) in any order."""
        ordered = sorted((item.encode(), count) for item, count in clicks)
        return cls([item for item, _ in ordered], np.cumsum([count for _, count in ordered], dtype=np.int64))

    def indices(self, items: Iterable[str]) -> set[int]:
        """Return the indices of those `items` that are in the pool."""
        encoded = [item.encode() for item in items]
        places = [(bisect_left(self.items, item), item) for item in encoded]
        return {place for place, item in places if place < len(self.items) and self.items[place] == item}


def request_rng(seed: int, user: str, request: Request) -> np.random.Generator:
    """Make a generator that depends on the request alone, not on the order in which Beam meets the requests."""
    target = request.target
    text = repr((seed, user, target.item, target.timestamp, request.split))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big"))


def draw(
    pool: ItemPool, excluded: set[int], count: int, by_popularity: bool, rng: np.random.Generator
) -> list[int] | None:
    """Draw distinct items one after another, uniformly or proportionally to their clicks.

    Cost: a little more than `count` draws, whatever the size of the pool, except where rejection does not get there
    (a small pool, or one that a few items dominate); then one pass over the pool.

    Args:
        pool: items to draw from.
        excluded: indices never drawn.
        count: items wanted.
        by_popularity: weigh by clicks.
        rng: of the request.

    Returns:
        `count` indices in the order drawn; None where the pool holds fewer items that are not excluded.
    """
    if len(pool.items) - len(excluded) < count:
        return None
    chosen: dict[int, None] = {}  # ordered and distinct; at this size faster than sorting an array
    for _ in range(_ROUNDS):
        drawn = _draw_with_repeats(pool, count + count // 8 + 8, by_popularity, rng).tolist()
        chosen.update(dict.fromkeys(index for index in drawn if index not in excluded))
        if len(chosen) >= count:
            return list(chosen)[:count]
    rest = _draw_exactly(pool, excluded.union(chosen), by_popularity, rng)
    return [*chosen, *rest[:count - len(chosen)].tolist()]


def _draw_with_repeats(pool: ItemPool, count: int, by_popularity: bool, rng: np.random.Generator) -> Indices:
    if by_popularity:
        clicks = rng.integers(pool.cumulative_clicks[-1], size=count)
        return np.searchsorted(pool.cumulative_clicks, clicks, side="right")
    return rng.integers(len(pool.items), size=count)


def _draw_exactly(
    pool: ItemPool, excluded: set[int], by_popularity: bool, rng: np.random.Generator
) -> Indices:
    # Items in order of Exp(1) / weight are a weighted draw without replacement, one after another
    # (Efraimidis and Spirakis, 2006).
    weights = np.diff(pool.cumulative_clicks, prepend=0) if by_popularity else np.ones(len(pool.items))
    keys = rng.standard_exponential(len(pool.items)) / weights
    keys[list(excluded)] = np.inf
    return np.argsort(keys, kind="stable")
