"""What a rank is worth: the metrics of every judge of this project, in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt


def rank_values(ranks: npt.NDArray[Any], metric: str) -> npt.NDArray[Any]:
    """The metric `HR@k`, `NDCG@k` or `MRR` of each rank, float64.

    The run page, the TFX Evaluator and the comparison of runs use it; the last one answers before TensorFlow would be
    loaded. `model.objectives.metrics` is the same in a graph.

    Args:
        ranks: of positives, from 1 on, `[R]`.
        metric: HR@k is 1 for a rank of at most k, NDCG@k with one positive 1 / log2(1 + rank) there, and MRR the mean
            of 1 / rank whatever the rank.

    Returns:
        `[R]`.
    """
    if metric == "MRR":
        return 1 / ranks
    kind, k = metric.split("@")
    gains = {"HR": np.ones(ranks.shape), "NDCG": 1 / np.log2(1.0 + ranks)}[kind]
    return np.where(ranks <= int(k), gains, 0.0)
