"""Sizes of tensors, known while a graph is traced where they can be."""

import tensorflow as tf


def sizes(tensor: tf.Tensor) -> list[int | tf.Tensor]:
    """Size of each axis: a number where it is known, else a scalar tensor.

    What a number decides is decided once, and XLA compiles for it; `tf.shape` alone forgets what is known.
    """
    return [tf.shape(tensor)[axis] if size is None else size for axis, size in enumerate(tensor.shape)]
