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

    def __call__(self, step: tf.Tensor, targets: tf.Tensor, rec_items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Candidates of a step.

        Args:
            step: int64 scalar.
            targets: `[B]`.
            rec_items: the history window, `[B, Lr]`.

        Returns:
            candidates `[B, 1 + n]`, the target in column 0; and whether each takes part, bool `[B, 1 + n]`: a
            negative that is the target or an item of the window does not.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(step, tf.int64)])
        shape = [tf.shape(targets)[0], self._count]
        drawn = tf.random.stateless_uniform(shape, seed, maxval=tf.size(self._pool), dtype=tf.int32)
        negatives = tf.gather(self._pool, drawn)
        clicked = tf.concat([targets[:, None], rec_items], 1)
        collides = tf.reduce_any(negatives[:, :, None] == clicked[:, None, :], 2)
        valid = tf.concat([tf.ones_like(collides[:, :1]), ~collides], 1)
        return tf.concat([targets[:, None], negatives], 1), valid
