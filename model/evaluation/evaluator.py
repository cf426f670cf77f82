"""HR and NDCG of a model over stored requests."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from model.data.columns import Array
from model.data.requests import Requests
from model.data.windows import RequestWindows
from model.objectives.metrics import metric_values, pessimistic_rank
from model.ops.placement import HOST, on_host
from model.ranker import Items, Ranker

METRICS = ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10")
"""In the order of the paper's tables."""
BATCHES_A_BLOCK = 8
"""Items are prepared once for so many batches; the memory is that of their distinct candidates."""


class RankingEvaluator:
    """Evaluates one model on the same requests again and again.

    Args:
        model: the model.
        requests: at least one.
        batch_size: requests a step.
        max_requests: how many to look at, evenly spread; 0 is all.

    Raises:
        ValueError: if there is no request.
    """

    def __init__(self, model: Ranker, requests: Requests, batch_size: int, max_requests: int = 0) -> None:
        if not len(requests):
            raise ValueError("`requests` should hold at least one request. Received: none.")
        count = min(max_requests or len(requests), len(requests))
        self._rows = np.linspace(0, len(requests) - 1, count).astype(np.int32)
        self._batch_size = min(batch_size, count)
        self._candidates, self._num_items = requests.candidates, model.config.num_items
        with tf.device(HOST):
            windows = on_host(RequestWindows(requests, model.config, model.inputs))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int32)])
        def prepare(items: tf.Tensor) -> Items:
            return model.prepare(items)

        @tf.function(autograph=False, reduce_retracing=True)
        def rank(rows: tf.Tensor, items: Items, places: tf.Tensor) -> tf.Tensor:
            batch, label = windows(rows)
            candidates = tf.nest.map_structure(lambda part: tf.gather(part, places), items)
            return pessimistic_rank(model.score(model.encode(batch), candidates), label)

        self._prepare, self._rank = prepare, rank

    def ranks(self) -> Array:
        """Rank of each request's positive, int32 `[R]`."""
        size = self._batch_size
        # The last batch is filled up with its last row: one shape, traced once.
        batches = np.pad(self._rows, (0, -len(self._rows) % size), mode="edge").reshape(-1, size)
        found = []
        for begin in range(0, len(batches), BATCHES_A_BLOCK):
            block = batches[begin : begin + BATCHES_A_BLOCK]
            distinct, places = _distinct(self._candidates[block], self._num_items)
            items = self._prepare(tf.constant(distinct))
            for rows, at in zip(block, places, strict=True):
                found.append(self._rank(tf.constant(rows), items, tf.constant(at)))
        # Read at the end: reading waits for the device, which has the next batch by then.
        return tf.concat(found, 0).numpy()[: len(self._rows)]

    def __call__(self) -> dict[str, float]:
        """Means of HR@1, HR@5, HR@10, NDCG@5 and NDCG@10."""
        return ranking_metrics(self.ranks())


def _distinct(ids: Array, count: int) -> tuple[Array, Array]:
    """What `np.unique` gives of ids below `count`, and where each stands in it, int32; without sorting them."""
    found = np.zeros(count, np.bool_)
    found[ids] = True
    distinct = np.flatnonzero(found).astype(ids.dtype)
    place = np.empty(count, np.int32)
    place[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, place[ids]


def ranking_metrics(ranks: Array, names: Sequence[str] = METRICS) -> dict[str, float]:
    """Means over ranks `[R]` of metrics named `HR@k`, `NDCG@k` or `MRR`; those of the paper if none is named."""
    return {name: float(np.mean(metric_values(ranks, name).numpy(), dtype=np.float64)) for name in names}


def evaluate(model: Ranker, requests: Requests, batch_size: int) -> dict[str, float]:
    """HR@1, HR@5, HR@10, NDCG@5 and NDCG@10 of a model over all requests."""
    return RankingEvaluator(model, requests, batch_size)()
