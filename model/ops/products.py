"""Products of vectors with all events of their own row: what attention is made of.

For few vectors a row they save TensorFlow's batched product, which is slower on a CPU, and at some sizes wrong with
oneDNN. `test_products_with_the_events_of_a_row` in tests/model/test_products.py compares both ways with NumPy.
"""

import tensorflow as tf

FEW = 8
"""Up to so many vectors a row TensorFlow is faster with one at a time, on a CPU (docs/experiments/speed.md)."""


def inner(queries: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
    """Inner products: `[B, Q, d]` and `[B, L, d]` give `[B, Q, L]`.

    To be used where no gradient is asked for: TensorFlow's own would be built one vector at a time.
    """
    if (queries.shape[1] or FEW + 1) > FEW:
        return tf.matmul(queries, events, transpose_b=True)
    return tf.squeeze(tf.matmul(tf.expand_dims(queries, 2), tf.expand_dims(events, 1), transpose_b=True), 2)


def mix(weights: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
    """Weighted sums: `[B, Q, L]` and `[B, L, d]` give `[B, Q, d]`; where no gradient is asked for, as `inner`."""
    if (weights.shape[1] or FEW + 1) > FEW:
        return tf.matmul(weights, events)
    return tf.squeeze(tf.matmul(tf.expand_dims(weights, 2), tf.expand_dims(events, 1)), 2)
