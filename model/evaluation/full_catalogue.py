"""Rank of each request's positive among all known items, in blocks of items."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from model.contract import FIRST_KNOWN_ID
from model.data.clicked import Avoid, clicked_pairs
from model.data.columns import Array
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.data.windows import RequestWindows
from model.ranker import Items, Ranker, State

BATCHES_AT_ONCE = 8
"""Encoded requests are kept for so many batches, so that a block of items is prepared once for all of them."""


class FullCatalogue:
    """Ranks positives among all items that were clicked in training, as `model.objectives.metrics.pessimistic_rank`
    would.

    What is in memory at a time: encoded requests of `BATCHES_AT_ONCE` batches, one block of items, and the scores of
    one batch for one block, `[batch_size, block_size]`, with what the model needs for them. The catalogue's size only
    adds time.

    Args:
        model: the model.
        requests: at least one.
        timelines: the training log; its known items are the catalogue.
        avoid: what a user clicked is no negative: up to the request (`past`), anywhere in both arguments (`whole_log`),
            or it is one (`none`). The positive of the request never is.
        batch_size: requests a step.
        block_size: items a step.
        max_requests: how many to rank, evenly spread; 0 is all. `rows` says which.

    Raises:
        ValueError: if there is no request or no known item.
    """

    def __init__(
        self,
        model: Ranker,
        requests: Requests,
        timelines: Timelines,
        *,
        avoid: Avoid = "past",
        batch_size: int = 256,
        block_size: int = 1024,
        max_requests: int = 0,
    ) -> None:
        self.catalogue = np.unique(timelines.rec_items[timelines.rec_items >= FIRST_KNOWN_ID])
        if not len(requests) or not len(self.catalogue):
            raise ValueError(
                "`requests` and the known items of `timelines` should not be empty. "
                f"Received: {len(requests)} requests, {len(self.catalogue)} items."
            )
        self._requests, self._timelines, self._avoid = requests, timelines, avoid
        number = min(max_requests or len(requests), len(requests))
        self.rows = np.linspace(0, len(requests) - 1, number).astype(np.int32)
        self._batch_size = min(batch_size, number)
        self._block_size = min(block_size, len(self.catalogue))
        self.positives = requests.candidates[np.arange(len(requests)), requests.label]
        windows = RequestWindows(requests, model.config, model.inputs)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int32)] * 2)
        def encode(rows: tf.Tensor, positives: tf.Tensor) -> tuple[State, tf.Tensor]:
            encoded = model.encode(windows(rows)[0])
            return encoded, model.score(encoded, model.prepare(positives[:, None]))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([self._block_size], tf.int32)])
        def prepare(items: tf.Tensor) -> Items:
            # One row for all requests: scoring broadcasts it.
            return model.prepare(items[None])

        @tf.function(autograph=False, reduce_retracing=True)
        def count(encoded: State, positive: tf.Tensor, items: Items, left_out: tf.Tensor) -> tf.Tensor:
            # What is left out counts as lower; see `pessimistic_rank` for why lower ones are counted.
            lower = tf.tensor_scatter_nd_update(
                model.score(encoded, items) < positive, left_out, tf.ones(tf.shape(left_out)[:1], tf.bool)
            )
            return self._block_size - tf.reduce_sum(tf.cast(lower, tf.int32), 1)

        self._encode, self._prepare, self._count = encode, prepare, count

    def ranks(self) -> Array:
        """Rank of the positive of each of `rows`, int32.

        A positive that no vocabulary holds is an item that the model cannot name: it comes after the whole catalogue.
        """
        step = self._batch_size * BATCHES_AT_ONCE
        found = [self._ranks(self.rows[begin : begin + step]) for begin in range(0, len(self.rows), step)]
        return np.concatenate(found).astype(np.int32)

    def _ranks(self, rows: Array) -> Array:
        # The last batch is filled up with its last row: one shape, traced once.
        batches = np.pad(rows, (0, -len(rows) % self._batch_size), mode="edge").reshape(-1, self._batch_size)
        encoded = [self._encode(batch, self.positives[batch]) for batch in batches]
        left_out = [self._left_out(batch) for batch in batches]
        above = np.zeros(batches.shape, np.int64)
        for number, items in enumerate(self._blocks()):
            block = self._prepare(items)
            for at, (state, positive) in enumerate(encoded):
                above[at] += self._count(state, positive, block, _of_block(left_out[at], number, self._block_size))
        known = self.positives[batches] >= FIRST_KNOWN_ID
        kept = len(self.catalogue) - np.stack([self._number_left_out(pairs) for pairs in left_out])
        return (1 + np.where(known, above, kept)).reshape(-1)[: len(rows)]

    def _blocks(self) -> Iterator[Array]:
        size = self._block_size
        padded = np.pad(self.catalogue, (0, -len(self.catalogue) % size), mode="edge")
        return iter(padded.reshape(-1, size))

    def _left_out(self, batch: Array) -> Array:
        """Row of the batch and place in the padded catalogue of all that is no negative, sorted by place, `[P, 2]`."""
        row, item = clicked_pairs(self._requests, self._timelines, batch, self._avoid)
        row = np.concatenate([row, np.arange(len(batch))])
        item = np.concatenate([item, self.positives[batch]])
        place = np.minimum(np.searchsorted(self.catalogue, item), len(self.catalogue) - 1)
        real = self.catalogue[place] == item
        padding = np.arange(len(self.catalogue), len(self.catalogue) + -len(self.catalogue) % self._block_size)
        row = np.concatenate([row[real], np.repeat(np.arange(len(batch)), len(padding))])
        place = np.concatenate([place[real], np.tile(padding, len(batch))])
        # Distinct pairs, the place first: a block's are neighbours.
        distinct = np.unique(place.astype(np.int64) * len(batch) + row)
        return np.stack([distinct % len(batch), distinct // len(batch)], 1).astype(np.int32)

    def _number_left_out(self, pairs: Array) -> Array:
        return np.bincount(pairs[pairs[:, 1] < len(self.catalogue), 0], minlength=self._batch_size)


def _of_block(pairs: Array, number: int, size: int) -> Array:
    begin, end = np.searchsorted(pairs[:, 1], [number * size, (number + 1) * size])
    return pairs[begin:end] - np.array([0, number * size], np.int32)
