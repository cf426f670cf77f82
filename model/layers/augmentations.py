"""Crop, mask and reorder of CL4SRec, and places drawn to be masked, as choices of what stands where.

Nothing here sees an event: a choice says for each place `[B, L]` which column of the looked up events stands there now,
or `masked` or `padding`, and `rearrange` carries it out. Histories are padded on the left. Of a history of n events an
augmentation takes an exact number, a function of n alone, and what it takes is decided by `noise` in [0, 1), so that
equal noise gives equal choices.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

NEGLIGIBLE = 1e-9
"""What a rate times a number of events may lie below a whole number through rounding: .29 * 100."""


class Choice(NamedTuple):
    """What stands at each place.

    Attributes:
        columns: of the events, int32 `[B, L]`; L is [MASK], L + 1 is padding.
        real: True for an event or a [MASK], bool `[B, L]`.
    """

    columns: tf.Tensor
    real: tf.Tensor


def of_length(length: int, count: Callable[[int], int]) -> tf.Tensor:
    """A function of 0 up to `length` events as a table, int32 `[length + 1]`: exact, where float32 is not."""
    return tf.constant([count(events) for events in range(length + 1)], tf.int32)


def share(rate: float, least: int = 0) -> Callable[[int], int]:
    """floor(rate n) of n events, but at least `least`, and never more than n."""
    return lambda events: min(events, max(least, math.floor(rate * events + NEGLIGIBLE)))


def crop(real: tf.Tensor, keep: float, noise: tf.Tensor) -> Choice:
    """A run of floor(keep n) neighbouring events, at least one, moved to the newest places.

    Args:
        real: True for an event, bool `[B, L]`; False first.
        keep: share of the events that stays.
        noise: where the run begins, `[B]`.
    """
    length = real.shape[1]
    events = _events(real)
    kept = tf.gather(of_length(length, share(keep, 1)), events)
    begin = length - events + _whole(noise, events - kept + 1)
    columns = tf.range(length)[None] - length + (begin + kept)[:, None]
    return _choice(columns, tf.range(length)[None] >= length - kept[:, None], length)


def mask(real: tf.Tensor, rate: float, noise: tf.Tensor) -> Choice:
    """floor(rate n) events, wherever they are, become [MASK].

    Args:
        real: as in `crop`.
        rate: share of the events that is masked.
        noise: which are, `[B, L]`.
    """
    length = real.shape[1]
    count = tf.gather(of_length(length, share(rate)), _events(real))
    chosen = smallest(real, count, noise)
    return _choice(tf.where(chosen, length, tf.range(length)[None]), real, length)


def reorder(real: tf.Tensor, rate: float, begin: tf.Tensor, noise: tf.Tensor) -> Choice:
    """A run of floor(rate n) neighbouring events is shuffled where it is.

    Args:
        real: as in `crop`.
        rate: share of the events that is shuffled.
        begin: where the run begins, `[B]`.
        noise: its new order, `[B, L]`.
    """
    length = real.shape[1]
    events = _events(real)
    count = tf.gather(of_length(length, share(rate)), events)
    first = (length - events + _whole(begin, events - count + 1))[:, None]
    own = tf.range(length)[None]
    within = (own >= first) & (own < first + count[:, None])
    # Of equal keys the earlier column comes first, so that a run's key may be rounded up to that of the column behind.
    run = tf.cast(first, noise.dtype) + noise * tf.cast(count, noise.dtype)[:, None]
    keys = tf.where(within, run, tf.cast(own, noise.dtype))
    return _choice(tf.argsort(keys, 1, stable=True), real, length)


def smallest(real: tf.Tensor, count: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The `count` `[B]` real places of the smallest noise `[B, L]`, bool `[B, L]`."""
    order = tf.argsort(tf.where(real, noise, 2.0), 1, stable=True)
    return tf.argsort(order, 1, stable=True) < count[:, None]


def rearrange(events: tf.Tensor, masked: tf.Tensor, choice: Choice) -> tf.Tensor:
    """Events `[B, L, d]` as chosen, `[B, L, d]`.

    Args:
        events: which are not changed.
        masked: [MASK], `[d]`.
        choice: of these events.
    """
    rows = tf.shape(events)[0]
    further = tf.stack([tf.cast(masked, events.dtype), tf.zeros_like(masked, events.dtype)])
    return tf.gather(tf.concat([events, tf.tile(further[None], [rows, 1, 1])], 1), choice.columns, batch_dims=1)


def one_of_three(real: tf.Tensor, rates: tuple[float, float, float], seed: tf.Tensor) -> Choice:
    """One augmentation of each row, each as likely as the others.

    Args:
        real: as in `crop`.
        rates: of `crop`, `mask` and `reorder`.
        seed: of all draws, int32 `[2]`.
    """
    rows, length = tf.shape(real)[0], real.shape[1]
    noise = tf.random.stateless_uniform([rows, length + 2], seed)
    which, begin, noise = _whole(noise[:, 0], 3)[:, None], noise[:, 1], noise[:, 2:]
    crop_rate, mask_rate, reorder_rate = rates
    choices = (crop(real, crop_rate, begin), mask(real, mask_rate, noise), reorder(real, reorder_rate, begin, noise))
    return Choice(*(tf.where(which == 0, a, tf.where(which == 1, b, c)) for a, b, c in zip(*choices, strict=True)))


def _events(real: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(real, tf.int32), 1)


def _whole(noise: tf.Tensor, below: tf.Tensor | int) -> tf.Tensor:
    """[0, 1) as whole numbers below `below`, which float32 might round up to."""
    below = tf.cast(below, tf.int32)
    return tf.minimum(tf.cast(noise * tf.cast(below, noise.dtype), tf.int32), below - 1)


def _choice(columns: tf.Tensor, real: tf.Tensor, length: int) -> Choice:
    return Choice(tf.where(real, columns, length + 1), real)
