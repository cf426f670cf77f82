"""Cross-entropy over the catalogue, whole or sampled, as pure functions."""

import tensorflow as tf

from model.contract import PADDING_ID, UNKNOWN_ID
from model.ops.softmax_attention import MASKED_LOGIT


def catalogue_logits(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Logits of every id, `[B, num_items]`, those masked that are no class of `catalogue_loss`."""
    ids = tf.range(tf.shape(logits)[1])[None]
    left_out = (ids == PADDING_ID) | ((ids == UNKNOWN_ID) & (targets[:, None] != UNKNOWN_ID))
    return tf.where(left_out, MASKED_LOGIT, logits)


def catalogue_loss(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Cross-entropy over all items.

    Padding is no item; the unknown one is an item only where it is the target, which a step makes of some targets.

    Args:
        logits: of every id, `[B, num_items]`.
        targets: ids, `[B]`.

    Returns:
        `[B]`.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, catalogue_logits(logits, targets))


def sampled_logits(
    positive: tf.Tensor,
    negatives: tf.Tensor,
    *,
    targets: tf.Tensor,
    drawn: tf.Tensor,
    frequency: tf.Tensor,
    valid: tf.Tensor,
) -> tf.Tensor:
    """Logits of the target and of items that were drawn, whose softmax estimates that over all items.

    The sum over the catalogue is that of the target, which is always there, and of the draws, each divided by how often
    its item is expected among them: exp(o_i) / (M q_i) for M draws of frequencies q. Its expectation is the whole sum.
    Draws that hit the target do not count a second time.

    Args:
        positive: logits of the targets, `[B]`.
        negatives: logits of the drawn items, `[B, M]`.
        targets: ids, `[B]`.
        drawn: ids that all rows share, `[M]`, each draw for itself.
        frequency: q, the probability of a draw to be this item, `[M]`.
        valid: 0 leaves a draw out, `[M]`.

    Returns:
        `[B, 1 + M]`, the target in column 0, less the logarithms of expected counts; masked where a draw is left out.
    """
    expected = tf.reduce_sum(valid) * frequency
    left_out = (drawn[None] == targets[:, None]) | (valid[None] == 0)
    corrected = negatives - tf.math.log(tf.maximum(expected, 1e-30))[None]
    return tf.concat([positive[:, None], tf.where(left_out, MASKED_LOGIT, corrected)], 1)


def sampled_loss(logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the targets, `[B]`, from what `sampled_logits` gave."""
    return tf.reduce_logsumexp(logits, 1) - logits[:, 0]


def contrastive_softmax_loss(
    anchors: tf.Tensor, others: tf.Tensor, temperature: float | tf.Tensor, *, same: tf.Tensor | None = None
) -> tf.Tensor:
    """InfoNCE within a batch: row i of `others` is the positive of row i of `anchors`, the other rows are negatives.

    Args:
        anchors, others: vectors, `[B, d]`; normalise them where the similarity is to be the cosine.
        temperature: of the inner products.
        same: True for pairs that are no negatives of each other, such as rows with the same target, bool `[B, B]`.

    Returns:
        `[B]`.
    """
    logits = tf.matmul(anchors, others, transpose_b=True) / temperature
    rows = tf.range(tf.shape(logits)[0])
    if same is not None:
        own = rows[:, None] == rows[None]
        logits = tf.where(same & ~own, MASKED_LOGIT, logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(rows, logits)


def steps_divergence(logits: tf.Tensor) -> tf.Tensor:
    """How far the distributions of T steps are apart: the mean of KL(p_j || p_i) over all pairs i != j.

    The gradient flows through p_j alone.

    Args:
        logits: `[B, T, n]`, T at least 2; masked ones have no part.

    Returns:
        `[B]`.
    """
    steps = logits.shape[1]
    log_p = tf.nn.log_softmax(logits)
    p = tf.exp(log_p)
    # The pairs of a step with itself add 0, gradient and all.
    inner = steps * tf.reduce_sum(p * log_p, [1, 2])
    across = tf.reduce_sum(tf.reduce_sum(p, 1) * tf.stop_gradient(tf.reduce_sum(log_p, 1)), 1)
    return (inner - across) / (steps * (steps - 1))
