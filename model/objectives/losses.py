"""Supervised losses, Eq. (9), (11) and (12), as pure functions."""

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from model.ops.softmax_attention import MASKED_LOGIT


def recommendation_loss(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy of Eq. (11), the mean over all user-item pairs of the batch.

    Args:
        logits: `[B, 1 + n]`, the positive in column 0.
        weights: `[B, 1 + n]`; 0 leaves a pair out, such as a negative that the user did click.

    Returns:
        A scalar.
    """
    positive, negatives = tf.nn.softplus(-logits[:, :1]), tf.nn.softplus(logits[:, 1:])
    return tf.reduce_sum(tf.concat([positive, negatives], 1) * weights) / tf.reduce_sum(weights)


def contrastive_loss(
    target: tf.Tensor,
    crossed: tf.Tensor,
    plain: tf.Tensor,
    margin: float,
    distance: Literal["cosine", "euclidean"] = "cosine",
) -> tf.Tensor:
    """The target-aware contrastive loss, Eq. (9), of a side: the mean over the batch; of several, of all sides too.

    Args:
        target: e_v of the clicked item, `[B, d]`.
        crossed: h^(K), `[B, d]` or `[sides, B, d]`.
        plain: h^(K) of the branch without cross-attention, likewise.
        margin: m.
        distance: d(.,.).

    Returns:
        A scalar.
    """
    away = _cosine_distance if distance == "cosine" else _euclidean_distance
    # In mixed precision the states are coarser than the embeddings of the target.
    crossed, plain = tf.cast(crossed, target.dtype), tf.cast(plain, target.dtype)
    return tf.reduce_mean(tf.nn.relu(away(target, crossed) - away(target, plain) + margin))


def retrieval_loss(queries: tf.Tensor, candidates: tf.Tensor, places: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sampled softmax over the targets' rows: the negatives of all of them are everybody's negatives.

    They are drawn uniformly, so that no logQ correction is needed: it would be the same for all. Where they are drawn
    by popularity, popular items are found less often than they are clicked.

    Args:
        queries: `[B, d]`.
        candidates: the target, in column 0, and its negatives, `[B, 1 + n, d]`.
        places: what tells the candidates' items apart, `[B, 1 + n]`.
        weights: of the pairs, `[B, 1 + n]`; 0 leaves a negative out for everybody.

    Returns:
        A scalar, the mean over the rows.
    """
    dim = candidates.shape[-1]
    negatives, of_negatives = tf.reshape(candidates[:, 1:], [-1, dim]), tf.reshape(places[:, 1:], [1, -1])
    left_out = (of_negatives == places[:, :1]) | (tf.reshape(weights[:, 1:], [1, -1]) == 0)
    queries = tf.cast(queries, candidates.dtype)
    positive = tf.reduce_sum(queries * candidates[:, 0], 1, keepdims=True)
    logits = tf.where(left_out, MASKED_LOGIT, tf.matmul(queries, negatives, transpose_b=True))
    return tf.reduce_mean(tf.reduce_logsumexp(tf.concat([positive, logits], 1), 1) - positive[:, 0])


def l2_penalty(kernels: Sequence[tf.Tensor], rows: Sequence[tf.Tensor]) -> tf.Tensor:
    """Squared norm of Eq. (12): of kernels and of the rows looked up; biases, norms and other rows stay out.

    Kernels are small and many: side by side they take a few operations, not a few each.
    """
    flat = [tf.concat([tf.reshape(kernel, [-1]) for kernel in kernels], 0)] if kernels else []
    return 2.0 * tf.add_n([tf.nn.l2_loss(tensor) for tensor in (*flat, *rows)])


def _cosine_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return 1.0 - tf.reduce_sum(tf.math.l2_normalize(a, -1) * tf.math.l2_normalize(b, -1), -1)


def _euclidean_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    # The square root has no finite gradient at 0.
    return tf.sqrt(tf.reduce_sum(tf.square(a - b), -1) + 1e-12)
