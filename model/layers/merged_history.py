"""Clicks and searches as one sequence, in the order in which they happened."""

from typing import NamedTuple

import tensorflow as tf


class Merged(NamedTuple):
    """One sequence of both histories, padded on the left, its newest event last.

    Attributes:
        order: for each place, the column of `concat([clicks, searches], 1)` that stands there, `[B, Lr + Ls]`.
        mask: True for a real event, `[B, Lr + Ls]`.
        is_search: True for a search, `[B, Lr + Ls]`.
    """

    order: tf.Tensor
    mask: tf.Tensor
    is_search: tf.Tensor

    def take(self, clicks: tf.Tensor, searches: tf.Tensor) -> tf.Tensor:
        """Bring what clicks `[B, Lr, ...]` and searches `[B, Ls, ...]` have into the order: `[B, Lr + Ls, ...]`."""
        return tf.gather(tf.concat([clicks, searches], 1), self.order, batch_dims=1)

    @property
    def places(self) -> tf.Tensor:
        """The other way round: for each column of `concat([clicks, searches], 1)` its place, `[B, Lr + Ls]`."""
        return tf.argsort(self.order, 1)


def merge(rec_times: tf.Tensor, search_times: tf.Tensor, rec_mask: tf.Tensor, search_mask: tf.Tensor) -> Merged:
    """Interleave two histories by time; at the same time clicks stand before searches.

    Times are compared as they are, int64: in float32 two minutes would be one time.

    Args:
        rec_times, search_times: of the events, int64 `[B, Lr]` and `[B, Ls]`; those of padding do not count.
        rec_mask, search_mask: True for a real event, `[B, Lr]` and `[B, Ls]`.
    """
    mask = tf.concat([rec_mask, search_mask], 1)
    times = tf.where(mask, tf.concat([rec_times, search_times], 1), tf.int64.min)
    # Stable, so that of equal times the click is first, and each history keeps its own order.
    order = tf.argsort(times, 1, stable=True)
    is_search = order >= tf.shape(rec_mask)[1]
    mask = tf.gather(mask, order, batch_dims=1)
    return Merged(order, mask, is_search & mask)
