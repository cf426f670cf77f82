"""Draws the negatives of many requests at once: seeded, distinct, none of the user's own."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.example_gen import stable_hash
from components.example_gen.item_pool import ItemPool
from components.example_gen.splits import Bools
from components.example_gen.stable_hash import Hashes
from components.example_gen.timeline import Ints

_ROUNDS = 4
"""Rounds of drawing with rejection, each four times as long, before an exact draw that scans the pool."""
_BLOCK = 1 << 22
"""Numbers held at a time: requests times draws, or times items of the pool."""


class Own(NamedTuple):
    """What users clicked: X pairs of user and place in the pool, sorted, and the time of the first click of each."""

    users: Ints
    places: Ints
    first: Ints


class Wanted(NamedTuple):
    """What is asked for R requests.

    Attributes:
        keys: hashes that name each request, whoever meets it and when, `[R]`.
        available: how many of the pool's first items may be drawn, `[R]`.
        users: whose requests these are, `[R]`.
        targets: place of the item that each asks for, which is not drawn; -1 where the pool lacks it, `[R]`.
        until: what a user clicked first up to this time is not drawn, `[R]`.
        own: of all users.
    """

    keys: Hashes
    available: Ints
    users: Ints
    targets: Ints
    until: Ints
    own: Own


def draw(pool: ItemPool, wanted: Wanted, count: int, by_popularity: bool) -> Ints:
    """Draw distinct items one after another, uniformly or proportionally to their clicks.

    Cost: a little more than `count` draws a request, whatever the size of the pool, except where rejection does not get
    there (a small pool, or one that a few items dominate); then one pass over the pool.

    Returns:
        Places in the pool in the order drawn, `[R, count]`; -1 throughout a row with fewer items that may be drawn.
    """
    result = np.full((len(wanted.keys), count), -1, np.int64)
    open_rows = np.flatnonzero(wanted.available >= count)
    width = count + count // 8 + 8
    for _ in range(_ROUNDS):
        unfinished = []
        for rows in _blocks(open_rows, width):
            drawn, accepted = _draw_with_rejection(pool, wanted, rows, width, by_popularity)
            enough = accepted.sum(1) >= count
            result[rows[enough]] = _first(drawn[enough], accepted[enough], count)
            unfinished.append(rows[~enough])
        open_rows, width = np.concatenate([*unfinished, np.zeros(0, np.int64)]), 4 * width
    for rows in _blocks(open_rows, pool.items.len()):
        result[rows] = _draw_exactly(pool, wanted, rows, count, by_popularity)
    return result


def _blocks(rows: Ints, width: int) -> list[Ints]:
    return np.array_split(rows, max(1, -(-len(rows) * width // _BLOCK))) if len(rows) else []


def _first(drawn: Ints, accepted: Bools, count: int) -> Ints:
    return np.take_along_axis(drawn, np.argsort(~accepted, axis=1, kind="stable")[:, :count], 1)


def _draw_with_rejection(
    pool: ItemPool, wanted: Wanted, rows: Ints, width: int, by_popularity: bool
) -> tuple[Ints, Bools]:
    """Places `[rows, width]`, and which of them are neither excluded nor drawn before."""
    numbers = stable_hash.uniform(stable_hash.mix(wanted.keys[rows, None], np.arange(width)))
    available = wanted.available[rows, None]
    if by_popularity:
        clicks = (numbers * pool.cumulative_clicks[available - 1]).astype(np.int64)
        drawn = np.searchsorted(pool.cumulative_clicks, clicks, side="right")
    else:
        drawn = (numbers * available).astype(np.int64)
    order = np.argsort(drawn, axis=1, kind="stable")
    ordered = np.take_along_axis(drawn, order, 1)
    repeats = np.zeros(drawn.shape, bool)
    np.put_along_axis(repeats, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    return drawn, ~repeats & ~_is_excluded(pool, wanted, rows, drawn)


def _is_excluded(pool: ItemPool, wanted: Wanted, rows: Ints, drawn: Ints) -> Bools:
    size, own = np.int64(pool.items.len()), wanted.own
    is_target = drawn == wanted.targets[rows, None]
    if not len(own.users):
        return is_target
    pairs = own.users * size + own.places
    asked = wanted.users[rows, None] * size + drawn
    at = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
    return is_target | (pairs[at] == asked) & (own.first[at] <= wanted.until[rows, None])


def _draw_exactly(pool: ItemPool, wanted: Wanted, rows: Ints, count: int, by_popularity: bool) -> Ints:
    # Items in order of Exp(1) / weight are a weighted draw without replacement, one after another
    # (Efraimidis and Spirakis, 2006).
    places = np.arange(pool.items.len())
    weights = np.diff(pool.cumulative_clicks, prepend=0) if by_popularity else np.ones(len(places))
    numbers = stable_hash.uniform(stable_hash.mix(wanted.keys[rows, None], ~places))
    order_keys: npt.NDArray[np.float64] = -np.log1p(-numbers) / weights
    everywhere = np.broadcast_to(places, order_keys.shape)
    refused = (everywhere >= wanted.available[rows, None]) | _is_excluded(pool, wanted, rows, everywhere)
    order_keys[refused] = np.inf
    drawn = np.argsort(order_keys, axis=1, kind="stable")[:, :count]
    drawn[np.take_along_axis(order_keys, drawn[:, -1:], 1)[:, 0] == np.inf] = -1
    return drawn
