"""Collects the products of matrices that are traced or run."""

import contextlib

import tensorflow as tf
from tensorflow.python.framework import op_callbacks


@contextlib.contextmanager
def products():
    """Yields a list that fills with the shapes of both sides of every batched product within the context."""
    found = []

    def note(op_type, inputs, attrs, outputs, op_name=None, graph=None):
        if tf.compat.as_str(op_type).startswith("BatchMatMul"):
            found.append(tuple(value.shape for value in inputs))

    op_callbacks.add_op_callback(note)
    try:
        yield found
    finally:
        op_callbacks.remove_op_callback(note)


def unsafe(found):
    """Products that TensorFlow computes wrongly where oneDNN is on.

    Of four axes and more, the first must not be one that the right side lacks: `[B, 1, M, K]` by `[K, N]` or by
    `[1, 1, K, N]` reads outside of its array (TensorFlow 2.16.2 and 2.21.0).
    """
    return [
        (left, right)
        for left, right in found
        if left.rank is None
        or right.rank is None
        or left.rank >= 4
        and (right.rank < left.rank or right[0] == 1 and left[0] != 1)
    ]
