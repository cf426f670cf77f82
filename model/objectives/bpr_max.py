"""BPR-max, a pairwise loss that looks at the negatives of the highest scores."""

import tensorflow as tf

from model.ops.softmax_attention import MASKED_LOGIT


def bpr_max_loss(
    positive: tf.Tensor, negatives: tf.Tensor, *, valid: tf.Tensor, regularisation: float | tf.Tensor
) -> tf.Tensor:
    """-log sum_j s_j sigmoid(o_i - o_j) + regularisation * sum_j s_j o_j^2, s being the softmax of the negatives' o_j.

    Hidasi and Karatzoglou (CIKM 2018), section 3.3.

    Args:
        positive: logits of the targets, `[B]`.
        negatives: logits of negatives, `[B, M]`.
        valid: False leaves a negative out, bool `[B, M]`.
        regularisation: of the negatives' scores.

    Returns:
        `[B]`; 0 for a row without a negative.
    """
    some = tf.reduce_any(valid, 1)
    log_shares = tf.nn.log_softmax(tf.where(valid, negatives, MASKED_LOGIT), 1)
    # The logarithm of the sum from those of its terms: of a target far below its negatives the sum would be 0.
    terms = log_shares + tf.math.log_sigmoid(positive[:, None] - negatives)
    losses = -tf.reduce_logsumexp(tf.where(valid, terms, MASKED_LOGIT), 1)
    squares = tf.reduce_sum(tf.where(valid, tf.exp(log_shares) * tf.square(negatives), 0.0), 1)
    return tf.where(some, losses + regularisation * squares, 0.0)
