"""Cross-entropy over the catalogue, whole or sampled, as pure functions."""

import math

import tensorflow as tf

from model.contract import FIRST_KNOWN_ID, PADDING_ID, UNKNOWN_ID
from model.ops.softmax_attention import MASKED_LOGIT


def catalogue_logits(logits: tf.Tensor, targets: tf.Tensor, unknown_rate: float) -> tf.Tensor:
    """Logits of the classes of `catalogue_loss`, `[B, num_items]`, whose softmax are their probabilities.

    A step replaces the share `unknown_rate` of all ids by the unknown one, so that the unknown item stands for that
    share r of each of the N known ones. Its class has the weight r N, theirs 1 - r each, as they would on average if
    each item of the catalogue were replaced as often as the target is: then its own logit comes to the logarithm of the
    mean of all exponentials, that of an item of average odds. Without that weight it would be a class where it is the
    target alone, pushed up and never down, and be ranked above all that is known.

    Args:
        logits: of every id, `[B, num_items]`.
        targets: ids, `[B]`.
        unknown_rate: r. At 0 the unknown item is a class only where it is the target, of a click on what no vocabulary
            holds.

    Returns:
        `[B, num_items]`; masked where an id is no class, as padding never is.
    """
    ids = tf.range(tf.shape(logits)[1])[None]
    padding, unknown = ids == PADDING_ID, ids == UNKNOWN_ID
    if not unknown_rate:
        return tf.where(padding | (unknown & (targets[:, None] != UNKNOWN_ID)), MASKED_LOGIT, logits)
    known = tf.cast(tf.shape(logits)[1] - FIRST_KNOWN_ID, logits.dtype)
    log_weight = tf.math.log(known) + math.log(unknown_rate / (1 - unknown_rate))  # over that of a known item
    return logits + tf.where(padding, tf.constant(MASKED_LOGIT, logits.dtype), tf.where(unknown, log_weight, 0.0))


def catalogue_loss(logits: tf.Tensor, targets: tf.Tensor, unknown_rate: float) -> tf.Tensor:
    """Cross-entropy over all items, as `catalogue_logits` takes them.

    Returns:
        `[B]`.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, catalogue_logits(logits, targets, unknown_rate))


def draw_frequency(drawn: tf.Tensor, clicks: tf.Tensor, *, by_popularity: bool) -> tf.Tensor:
    """q of `sampled_logits`: the probability of each draw to be its item.

    A draw that a step has replaced by the unknown item was one of the known ones, nobody knows which. 1 / q of what was
    replaced is the number of known items in the mean, however they are drawn.

    Args:
        drawn: ids, `[M]`.
        clicks: of every id in the training log, `[num_items]`; 0 for ids that are never drawn.
        by_popularity: an item is drawn in proportion to its clicks; else all alike.

    Returns:
        `[M]`.
    """
    alike = tf.fill(tf.shape(drawn), 1.0 / tf.cast(tf.math.count_nonzero(clicks), clicks.dtype))
    if not by_popularity:
        return alike
    return tf.where(drawn == UNKNOWN_ID, alike, tf.gather(clicks, drawn) / tf.reduce_sum(clicks))


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
