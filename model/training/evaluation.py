"""Evaluation while training: every worker ranks its own part of the requests, and all get the metrics of all."""

from collections.abc import Callable

import numpy as np

from model.data.requests import Requests
from model.evaluation.evaluator import RankingEvaluator
from model.ranker import Ranker
from model.training import replicas

Evaluator = Callable[[], dict[str, float]]
"""Gives the metrics of a model's current weights."""


def evaluator_of(model: Ranker, requests: Requests, batch_size: int, max_requests: int) -> Evaluator:
    """An evaluator of all workers' requests.

    Args:
        model: the model.
        requests: this worker's part.
        batch_size: requests a step, of a worker.
        max_requests: how many to look at, of all workers together, evenly spread over each part; 0 is all.

    Raises:
        ValueError: if this worker, or any other, has no request.
    """
    if replicas.worker().count == 1:
        return RankingEvaluator(model, requests, batch_size, max_requests)
    of_each = np.concatenate(replicas.of_workers([len(requests)]))
    replicas.require_each(of_each, "eval requests")
    share = min(1.0, max_requests / of_each.sum()) if max_requests else 1.0
    count = max(1, round(share * len(requests)))
    own = RankingEvaluator(model, requests, batch_size, count)

    def evaluate() -> dict[str, float]:
        # One sum, whose bits are the same on every worker: so all of them stop at the same step.
        metrics = own()
        sums = replicas.sum_of_workers(count * np.array([1.0, *metrics.values()]))
        return dict(zip(metrics, (sums[1:] / sums[0]).tolist(), strict=True))

    return evaluate
