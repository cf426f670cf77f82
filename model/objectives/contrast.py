"""NT-Xent of two views of each row."""

import tensorflow as tf

from model.ops.softmax_attention import MASKED_LOGIT


def nt_xent_loss(one: tf.Tensor, other: tf.Tensor, temperature: float, valid: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each view's partner among all other views (Chen et al., ICML 2020, Eq. 1).

    Of the 2B views each is compared with the 2B - 1 others by inner products: one is its partner, 2B - 2 are negatives.

    Args:
        one, other: two views of each row, `[B, d]`.
        temperature: of the inner products.
        valid: rows that take part, bool `[B]`; the others are no negatives either.

    Returns:
        Mean over the two views of a row, `[B]`; 0 for a row that takes no part.
    """
    views = tf.concat([one, other], 0)
    rows = tf.shape(one)[0]
    numbers = tf.range(2 * rows)
    left_out = (numbers[:, None] == numbers[None]) | ~tf.tile(valid, [2])[None]
    logits = tf.where(left_out, MASKED_LOGIT, tf.matmul(views, views, transpose_b=True) / temperature)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits((numbers + rows) % (2 * rows), logits)
    return tf.where(valid, (losses[:rows] + losses[rows:]) / 2, 0.0)
