"""Negatives of training targets, sampled in the graph."""

from typing import Literal

import numpy as np
import tensorflow as tf

from model.inputs import FIRST_KNOWN_ID
from model.training.timelines import Timelines


class NegativeSampler:
    """Draws n negatives for each target.

    Args:
        timelines: where items are drawn from; the unknown item never is.
        sampling: `uniform` over the distinct items clicked, or `popularity`, in proportion to their clicks.
        count: n.
        seed: the same seed and step give the same negatives.

    Raises:
        ValueError: if no known item was clicked.
    """

    def __init__(
        self, timelines: Timelines, sampling: Literal["uniform", "popularity"], count: int, seed: int
    ) -> None:
        pool = timelines.rec_items[timelines.rec_items >= FIRST_KNOWN_ID]
        if not len(pool):
            raise ValueError("`timelines` should hold at least one click on a known item. Received: none.")
        self._pool = tf.constant(np.unique(pool) if sampling == "uniform" else pool)
        self._count = count
        self._seed = seed
        self._rec_items = tf.constant(timelines.rec_items)
        self._rec_offsets = tf.constant(timelines.rec_offsets)
        # Every (row, item) that was clicked, as one sorted number each.
        self._num_items = int(timelines.rec_items.max()) + 1
        rows = np.repeat(np.arange(len(timelines.users)), np.diff(timelines.rec_offsets))
        self._clicked = tf.constant(np.unique(rows * self._num_items + timelines.rec_items))

    def __call__(self, step: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Candidates of a step.

        Args:
            step: int64 scalar.
            positions: of the targets in the log's `rec_items`, int32 `[B]`.

        Returns:
            candidates `[B, 1 + n]`, the target in column 0; and whether each takes part, bool `[B, 1 + n]`: a
            negative that the user clicked anywhere in the log, before or after, does not, as in evaluation.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(step, tf.int64)])
        shape = [tf.shape(positions)[0], self._count]
        drawn = tf.random.stateless_uniform(shape, seed, maxval=tf.size(self._pool), dtype=tf.int32)
        negatives = tf.gather(self._pool, drawn)
        rows = tf.searchsorted(self._rec_offsets, positions, side="right", out_type=tf.int64) - 1
        pairs = rows[:, None] * self._num_items + tf.cast(negatives, tf.int64)
        found = tf.searchsorted(self._clicked, tf.reshape(pairs, [-1]))
        found = tf.gather(self._clicked, tf.minimum(found, tf.size(self._clicked) - 1))
        valid = tf.pad(pairs != tf.reshape(found, shape), [[0, 0], [1, 0]], constant_values=True)
        return tf.concat([tf.gather(self._rec_items, positions)[:, None], negatives], 1), valid
