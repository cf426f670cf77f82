"""Sizes of tensors, known while a graph is traced where they can be.

They save operations that compute what is known, and let `products` choose its way once. Every test of a graph with open
sizes runs through them, `test_models_of_any_batch_hold_no_unsafe_product` in tests/model/test_products.py first.
"""

from collections.abc import Sequence

import tensorflow as tf


def sizes(tensor: tf.Tensor) -> list[int | tf.Tensor]:
    """Size of each axis: a number where it is known, else a scalar tensor.

    What a number decides is decided once, and XLA compiles for it; `tf.shape` alone forgets what is known.
    """
    return [tf.shape(tensor)[axis] if size is None else size for axis, size in enumerate(tensor.shape)]


def shaped(tensor: tf.Tensor, shape: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """`tf.reshape`, without a single operation for the shape where one size alone is open, as B mostly is."""
    numbers = [size for size in shape if isinstance(size, int)]
    # Of no values at all nothing could be inferred.
    if len(numbers) == len(shape) - 1 and 0 not in numbers:
        return tf.reshape(tensor, [size if isinstance(size, int) else -1 for size in shape])
    return tf.reshape(tensor, shape)
