"""A dense layer that multiplies one large matrix, whatever the rank of its inputs.

It saves the gradient's matrix for each request, two fifths of a training step. It computes what `keras.layers.Dense`
does: tests/model/test_equations.py and tests/model/test_plain.py compare it with products written out.
"""

from typing import Any

import keras
import tensorflow as tf

from model.ops.shapes import shaped, sizes


@keras.saving.register_keras_serializable(package="lcr_ser")
class Linear(keras.layers.Dense):
    """`keras.layers.Dense` over `[..., in]`, with inputs flattened to `[rows, in]` first.

    Keras multiplies inputs of rank 3 and more batch by batch. The gradient of the kernel is then a matrix for each
    request, summed afterwards, which took two fifths of a training step.
    """

    def __init__(self, units: int, kernel_initializer: str = "glorot_normal", **kwargs: Any) -> None:
        super().__init__(units, kernel_initializer=kernel_initializer, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """`[..., in]` gives `[..., units]`."""
        outputs = super().call(tf.reshape(inputs, [-1, self.kernel.shape[0]]))
        return shaped(outputs, [*sizes(inputs)[:-1], self.units])


def linear(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`[..., d]` times `[d, m]`: what `tf.tensordot` computes, in a third of the operations where B is open."""
    dim, width = kernel.shape
    outputs = tf.matmul(tf.reshape(inputs, [-1, dim]), kernel)
    return shaped(outputs, [*sizes(inputs)[:-1], width])
