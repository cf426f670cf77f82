"""Ties between candidates that the model cannot tell apart."""

import tensorflow as tf

from model.contract import UNKNOWN_ID


def tie_unknown(logits: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Give all unknown candidates of a request the same logit, the largest of theirs.

    They share one embedding, so that their logits differ by rounding alone, which depends on the column. A rank that
    counts ties against the positive needs them equal to the bit.

    Args:
        logits: `[B, C]`.
        candidates: ids, `[B, C]`.

    Returns:
        Logits `[B, C]`.
    """
    unknown = candidates == UNKNOWN_ID
    largest = tf.reduce_max(tf.where(unknown, logits, logits.dtype.min), 1, keepdims=True)
    return tf.where(unknown, largest, logits)
