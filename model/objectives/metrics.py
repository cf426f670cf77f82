"""Rank of the clicked item among its candidates, HR@k, NDCG@k and MRR."""

import math
from collections.abc import Mapping

import tensorflow as tf


def pessimistic_rank(scores: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Rank of the positive: 1 + the number of other candidates that score as high or higher.

    This is the tie rule of every figure of this project: ties, saturated scores and NaN count against the model, and
    the order of the candidates means nothing. So a constant scorer ranks every positive last: HR@k and NDCG@k are 0 for
    k < C and MRR is 1 / C, at most what chance reaches; and a sigmoid that saturates gains nothing.

    Args:
        scores: `[..., C]`.
        label: column of the positive, `[...]`.

    Returns:
        int32 `[...]`, from 1 to C.
    """
    positive = tf.gather(scores, label, axis=-1, batch_dims=len(scores.shape) - 1)
    # Not as a count of `~(scores < positive)`: TensorFlow rewrites that in a graph to `scores >= positive`, which is
    # False for NaN, and a model that gives nothing else would rank every positive first.
    return tf.shape(scores)[-1] - tf.reduce_sum(tf.cast(scores < positive[..., None], tf.int32), -1)


def pessimistic_ranks(scores: tf.Tensor) -> tf.Tensor:
    """Rank of every candidate among all of its row, by the rule of `pessimistic_rank`.

    By sorting: comparing each with each would take memory in the square of the candidates.

    Args:
        scores: `[B, C]`.

    Returns:
        int32 `[B, C]`, from 1 to C.
    """
    # A NaN is no lower than anything, and nothing is lower than a NaN.
    unknown = tf.math.is_nan(scores)
    ascending = tf.sort(tf.where(unknown, float("inf"), scores), axis=1)
    lower = tf.searchsorted(ascending, tf.where(unknown, -float("inf"), scores), side="left")
    return tf.shape(scores)[1] - lower


def hit_ratio(ranks: tf.Tensor, k: int) -> tf.Tensor:
    """HR@k of each rank: 1 if it is at most k, else 0."""
    return tf.cast(ranks <= k, tf.float32)


def ndcg(ranks: tf.Tensor, k: int) -> tf.Tensor:
    """NDCG@k of each rank, with one relevant item: 1 / log2(1 + rank) if it is at most k, else 0."""
    return hit_ratio(ranks, k) * math.log(2.0) / tf.math.log1p(tf.cast(ranks, tf.float32))


def reciprocal_rank(ranks: tf.Tensor) -> tf.Tensor:
    """1 / rank of each rank; its mean is MRR."""
    return 1.0 / tf.cast(ranks, tf.float32)


def metric_values(ranks: tf.Tensor, name: str) -> tf.Tensor:
    """The metric `HR@k`, `NDCG@k` or `MRR` of each rank."""
    if name == "MRR":
        return reciprocal_rank(ranks)
    kind, k = name.split("@")
    return {"HR": hit_ratio, "NDCG": ndcg}[kind](ranks, int(k))


def ranking_reward(ranks: tf.Tensor, weights: Mapping[str, float]) -> tf.Tensor:
    """Weighted sum of metrics named as in `metric_values`, of each rank: the reward of section 3.4.2."""
    total = tf.zeros(tf.shape(ranks))
    for name, weight in weights.items():
        total += weight * metric_values(ranks, name)
    return total
