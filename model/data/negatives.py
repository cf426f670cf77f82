"""Negatives of training targets, sampled in the graph."""

from typing import Literal

import numpy as np
import tensorflow as tf

from model.contract import FIRST_KNOWN_ID, PADDING_ID
from model.data.columns import Array
from model.data.timelines import Timelines


class NegativeSampler:
    """Draws n distinct negatives for each target.

    More than n are drawn with replacement; the target, what was drawn before and what is to be avoided are passed over,
    and the first n of the rest are a draw without replacement. The cost does not depend on the number of items.

    Args:
        timelines: where items are drawn from; the unknown item never is.
        sampling: `uniform` over the distinct items clicked in recommendations, or `popularity`, in proportion to their
            clicks.
        avoid: `clicked`: no negative is what the user clicked anywhere in the log, before or after, in recommendations
            or in a search; `none`: only the target itself is left out.
        count: n.
        seed: the same seed and step give the same negatives.
        clicks: of every item in recommendations, int64 `[num_items]`, where `timelines` are a part of the log; None
            counts those of `timelines`.

    Raises:
        ValueError: if no known item was clicked.
    """

    def __init__(
        self,
        timelines: Timelines,
        sampling: Literal["uniform", "popularity"],
        avoid: Literal["clicked", "none"],
        count: int,
        seed: int,
        *,
        clicks: Array | None = None,
    ) -> None:
        pool = timelines.rec_items if clicks is None else np.flatnonzero(clicks).astype(np.int32)
        pool = pool[pool >= FIRST_KNOWN_ID]
        if not len(pool):
            raise ValueError("`timelines` should hold at least one click on a known item. Received: none.")
        self._pool = tf.constant(np.unique(pool) if sampling == "uniform" else pool)
        # A list of all clicks would grow with the log that nobody holds: here each item has its clicks' numbers.
        self._last = tf.constant(np.cumsum(clicks[pool])) if clicks is not None and sampling == "popularity" else None
        self._avoid = avoid
        self._count = count
        self._seed = seed
        self._rec_items = tf.constant(timelines.rec_items)
        self._rec_offsets = tf.constant(timelines.rec_offsets)
        # Every (row, item) that was clicked, as one sorted number each.
        items = np.concatenate([timelines.rec_items, timelines.search_items])
        rows = np.concatenate(
            [
                np.repeat(np.arange(len(timelines.users)), np.diff(offsets))
                for offsets in (timelines.rec_offsets, timelines.search_item_offsets)
            ]
        )
        self._num_items = max(int(items.max()) + 1, 0 if clicks is None else len(clicks))
        self._clicked = tf.constant(np.unique(rows * self._num_items + items))

    def __call__(self, step: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Candidates of a step.

        Args:
            step: int64 scalar.
            positions: of the targets in the log's `rec_items`, int32 `[B]`.

        Returns:
            candidates `[B, 1 + n]`, the target in column 0; and whether each takes part, bool `[B, 1 + n]`. Where too
            few items were left of those drawn, the last columns hold the padding id and take no part.
        """
        rows = tf.searchsorted(self._rec_offsets, positions, side="right") - 1
        return self.of_targets(step, rows, tf.gather(self._rec_items, positions))

    def of_targets(self, step: tf.Tensor, rows: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for targets that need not be clicks in recommendations.

        Args:
            step: int64 scalar.
            rows: of the log, int32 `[B]`.
            targets: items, int32 `[B]`.
        """
        targets = targets[:, None]
        seed = tf.stack([tf.constant(self._seed, tf.int64), tf.cast(step, tf.int64)])
        shape = [tf.shape(targets)[0], 2 * self._count + 32]
        drawn = self._draw(shape, seed)
        refused = drawn == targets
        if self._avoid == "clicked":
            refused |= self._is_clicked(rows, drawn)
        negatives = _first_distinct(drawn, refused, self._count)
        valid = tf.pad(negatives != PADDING_ID, [[0, 0], [1, 0]], constant_values=True)
        return tf.concat([targets, negatives], 1), valid

    def _draw(self, shape: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Items of the pool, with replacement."""
        if self._last is None:
            return tf.gather(self._pool, tf.random.stateless_uniform(shape, seed, 0, tf.size(self._pool), tf.int32))
        numbers = tf.random.stateless_uniform([shape[0] * shape[1]], seed, 0, self._last[-1], tf.int64)
        return tf.reshape(tf.gather(self._pool, tf.searchsorted(self._last, numbers, side="right")), shape)

    def _is_clicked(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Whether the users of rows `[B]` clicked items `[B, W]`."""
        pairs = tf.reshape(tf.cast(rows, tf.int64)[:, None] * self._num_items + tf.cast(items, tf.int64), [-1])
        places = tf.minimum(tf.searchsorted(self._clicked, pairs), tf.size(self._clicked) - 1)
        return tf.reshape(tf.gather(self._clicked, places) == pairs, tf.shape(items))


def _first_distinct(items: tf.Tensor, refused: tf.Tensor, count: int) -> tf.Tensor:
    """The first `count` of each row of items `[B, W]`: each once, none refused; padding where they are fewer."""
    width = tf.shape(items)[1]
    turns = tf.argsort(items, 1, stable=True)
    ordered = tf.gather(items, turns, batch_dims=1)
    repeated = tf.pad(ordered[:, 1:] == ordered[:, :-1], [[0, 0], [1, 0]])
    turns += tf.where(repeated | tf.gather(refused, turns, batch_dims=1), width, 0)
    turns, places = tf.math.top_k(-turns, count)
    return tf.where(-turns < width, tf.gather(ordered, places, batch_dims=1), PADDING_ID)
