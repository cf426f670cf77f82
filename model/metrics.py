"""Rank of the clicked item among its candidates, HR@k and NDCG@k."""

import math
from collections.abc import Mapping

import tensorflow as tf


def pessimistic_rank(scores: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Rank of the positive: 1 + the number of other candidates that score as high or higher.

    Ties, saturated scores and NaN count against the model, and the order of the candidates means nothing.

    Args:
        scores: `[..., C]`.
        label: column of the positive, `[...]`.

    Returns:
        int32 `[...]`, from 1 to C.
    """
    positive = tf.gather(scores, label, axis=-1, batch_dims=len(scores.shape) - 1)
    # The positive itself is never lower than itself and stands for the 1.
    return tf.reduce_sum(tf.cast(~(scores < positive[..., None]), tf.int32), -1)


def hit_ratio(ranks: tf.Tensor, k: int) -> tf.Tensor:
    """HR@k of each rank: 1 if it is at most k, else 0."""
    return tf.cast(ranks <= k, tf.float32)


def ndcg(ranks: tf.Tensor, k: int) -> tf.Tensor:
    """NDCG@k of each rank, with one relevant item: 1 / log2(1 + rank) if it is at most k, else 0."""
    return hit_ratio(ranks, k) * math.log(2.0) / tf.math.log1p(tf.cast(ranks, tf.float32))


def ranking_reward(ranks: tf.Tensor, weights: Mapping[str, float]) -> tf.Tensor:
    """Weighted sum of metrics named `HR@k` or `NDCG@k`, of each rank: the reward of section 3.4.2."""
    total = tf.zeros(tf.shape(ranks))
    for name, weight in weights.items():
        metric, k = name.split("@")
        total += weight * {"HR": hit_ratio, "NDCG": ndcg}[metric](ranks, int(k))
    return total
