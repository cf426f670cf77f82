"""Softmax attention over the events of a row and each query's own vectors, with its gradient written out.

It saves the intermediate results that TensorFlow's gradient would keep, and a pass over the events for each product.
`test_attention_and_its_gradient` in tests/model/test_short_cuts.py compares both with plain operations.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model.ops.products import inner, mix
from model.ops.shapes import shaped, sizes

MASKED_LOGIT = -1e9


def softmax(logits: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis, computed in float32 or finer and given in the dtype of `logits`."""
    fine = tf.cast(logits, tf.float32) if logits.dtype.size < tf.float32.size else logits
    return tf.cast(tf.nn.softmax(fine), logits.dtype)


def attend(queries: tf.Tensor, events: tf.Tensor, mask: tf.Tensor, own: tf.Tensor | None = None) -> tf.Tensor:
    """softmax(queries keys^T) keys, where events and own vectors are the keys, and the values too.

    TensorFlow's gradient would keep every intermediate result and pass over the events once for each product. This one
    uses that the softmax's inner sum, of weights and their gradients, is the product of the output and its gradient.

    Args:
        queries: `[B, T, heads, d]`.
        events: shared by the queries of a row, `[B, L, d]`.
        mask: True where an event may be looked at, `[B, 1 or T, L]`.
        own: vectors that only query t of a row sees, `[B, T, k, d]`.

    Returns:
        `[B, T, heads, d]`; the mean of all events where a query may look at nothing.
    """
    penalty = tf.expand_dims(tf.cast(tf.where(mask, 0.0, MASKED_LOGIT), queries.dtype), 2)
    run = tf.custom_gradient(lambda *tensors: _attend(penalty, *tensors))
    return run(queries, events) if own is None else run(queries, events, own)


def _attend(
    penalty: tf.Tensor, queries: tf.Tensor, events: tf.Tensor, *own: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
    shape, width = queries.shape, queries.shape[3]
    rows = shape[1] and shape[1] * shape[2]

    def merge_heads(tensor: tf.Tensor, last: Any) -> tf.Tensor:
        """`[B, T, heads, last]` to `[B, T heads, last]`."""
        return shaped(tensor, [batch, rows, last]) if rows else tf.reshape(tensor, [batch, -1, last])

    def split_heads(tensor: tf.Tensor) -> tf.Tensor:
        return shaped(tensor, [*sizes(queries)[:3], sizes(tensor)[2]])

    batch, length, _ = sizes(events)
    flat = merge_heads(queries, width)
    logits = split_heads(inner(flat, events)) + penalty
    if own:
        both = softmax(tf.concat([logits, _own_inner(queries, own[0])], 3))
        weights, own_weights = tf.split(both, [length, own[0].shape[2]], 3)
    else:
        weights = softmax(logits)
    output = split_heads(mix(merge_heads(weights, length), events))
    if own:
        output += _own_mix(own_weights, own[0])

    def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
        of_output = merge_heads(upstream, width)
        inside = tf.reduce_sum(upstream * output, 3, keepdims=True)
        of_logits = merge_heads(weights * (split_heads(inner(of_output, events)) - inside), length)
        of_queries, flat_weights = split_heads(mix(of_logits, events)), merge_heads(weights, length)
        if not own:
            of_events = tf.matmul(of_logits, flat, transpose_a=True)
            return [of_queries, of_events + tf.matmul(flat_weights, of_output, transpose_a=True)]
        # Few rows: one product for both.
        left, right = tf.concat([of_logits, flat_weights], 1), tf.concat([flat, of_output], 1)
        of_events = tf.matmul(left, right, transpose_a=True)
        of_own_logits = own_weights * (_own_inner(upstream, own[0]) - inside)
        of_own = tf.reduce_sum(
            tf.expand_dims(of_own_logits, 4) * tf.expand_dims(queries, 3)
            + tf.expand_dims(own_weights, 4) * tf.expand_dims(upstream, 3),
            2,
        )
        return [of_queries + _own_mix(of_own_logits, own[0]), of_events, of_own]

    return output, gradient


def _own_inner(queries: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """`[B, T, heads, d]` and `[B, T, k, d]` give `[B, T, heads, k]`."""
    return tf.reduce_sum(tf.expand_dims(queries, 3) * tf.expand_dims(own, 2), 4)


def _own_mix(weights: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """`[B, T, heads, k]` and `[B, T, k, d]` give `[B, T, heads, d]`."""
    return tf.reduce_sum(tf.expand_dims(weights, 4) * tf.expand_dims(own, 2), 3)
