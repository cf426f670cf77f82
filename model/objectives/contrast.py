"""Contrasts of two views of each row."""

import tensorflow as tf

from model.ops.softmax_attention import MASKED_LOGIT


def partner_losses(similarities: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each view's partner among all other views of a batch.

    Args:
        similarities: of 2B views, the second views of all rows behind their first ones, `[2B, 2B]`.
        valid: rows that take part, bool `[B]`; the others are no negatives either.

    Returns:
        Mean over the two views of a row, `[B]`; 0 for a row that takes no part.
    """
    rows = tf.shape(valid)[0]
    numbers = tf.range(2 * rows)
    left_out = (numbers[:, None] == numbers[None]) | ~tf.tile(valid, [2])[None]
    logits = tf.where(left_out, MASKED_LOGIT, similarities)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits((numbers + rows) % (2 * rows), logits)
    return tf.where(valid, (losses[:rows] + losses[rows:]) / 2, 0.0)


def nt_xent_loss(one: tf.Tensor, other: tf.Tensor, temperature: float, valid: tf.Tensor) -> tf.Tensor:
    """NT-Xent (Chen et al., ICML 2020, Eq. 1) by inner products: one partner and 2B - 2 negatives for each view.

    Args:
        one, other: two views of each row, `[B, d]`.
        temperature: of the inner products.
        valid: as in `partner_losses`, whose result it gives.
    """
    views = tf.concat([one, other], 0)
    return partner_losses(tf.matmul(views, views, transpose_b=True) / temperature, valid)
