"""How much of what a model ranks first among all items its own first stage finds."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import FIRST_KNOWN_ID
from model.data.columns import Array
from model.data.requests import Requests
from model.data.windows import RequestWindows
from model.ranker import Items, Ranker, State

BATCH, BLOCK = 64, 4096
"""Requests, and items, at a time."""


def first_stage_recall(
    model: Ranker, requests: Requests, rows: Array, *, k: int = 10, found: Sequence[int] = (50, 100, 200, 500)
) -> dict[int, float]:
    """Share of the whole model's best k items that are among the first so many of its first stage.

    The catalogue is the vocabulary: all items but padding and the unknown one.

    Args:
        model: a `Retriever` that retrieves.
        requests: their candidates do not count.
        rows: of the requests to look at.
        k: items that the whole model ranks first.
        found: sizes of the first stage.

    Returns:
        The mean over the requests, by size of the first stage; sizes above the catalogue's count as it.
    """
    num_items = model.config.num_items
    k = min(k, num_items - FIRST_KNOWN_ID)
    index = tfrs.layers.factorized_top_k.BruteForce(k=min(max(found), num_items - FIRST_KNOWN_ID))
    index.index(model.item_vectors.value[FIRST_KNOWN_ID:], tf.range(FIRST_KNOWN_ID, num_items))
    windows = RequestWindows(requests, model.config, model.inputs)
    encode = tf.function(lambda rows: model.encode(windows(rows)[0]), autograph=False, reduce_retracing=True)
    prepare = tf.function(lambda items: model.prepare(items[None]), autograph=False, reduce_retracing=True)

    @tf.function(autograph=False, reduce_retracing=True)
    def better(state: State, items: Items, ids: tf.Tensor, best: tf.Tensor, of_best: tf.Tensor) -> list[tf.Tensor]:
        """The best k of those so far and of a block of items."""
        scores = tf.concat([best, model.score(state, items)], 1)
        ids = tf.concat([of_best, tf.broadcast_to(ids, [tf.shape(best)[0], tf.size(ids)])], 1)
        best, places = tf.math.top_k(scores, k)
        return [best, tf.gather(ids, places, batch_dims=1)]

    shares: list[Array] = []
    for begin in range(0, len(rows), BATCH):
        state = encode(tf.constant(rows[begin : begin + BATCH], tf.int32))
        count = len(rows[begin : begin + BATCH])
        best, of_best = tf.fill([count, k], tf.float32.min), tf.zeros([count, k], tf.int32)
        for first in range(FIRST_KNOWN_ID, num_items, BLOCK):
            ids = tf.range(first, min(first + BLOCK, num_items))
            best, of_best = better(state, prepare(ids), ids, best, of_best)
        _, candidates = index(model.query(state))
        hits = of_best.numpy()[:, :, None] == candidates.numpy()[:, None]
        shares.append(np.stack([hits[:, :, :size].any(2).mean(1) for size in found], 1))
    return dict(zip(found, np.concatenate(shares).mean(0).tolist(), strict=True))
