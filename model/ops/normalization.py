"""Layer normalisation with a short gradient.

It saves half of the passes over the inputs, a tenth of a training step. `test_normalization_is_that_of_keras` in
tests/model/test_short_cuts.py compares values and gradients.
"""

from typing import Any

import keras
import tensorflow as tf

from model.ops.shapes import shaped, sizes


@keras.saving.register_keras_serializable(package="lcr_ser")
class Normalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, in float32 or finer.

    The gradient is written out: derived operation by operation it passes over the inputs twice as often, which took
    a tenth of a training step.

    Args:
        epsilon: added to the variance.
    """

    def __init__(self, epsilon: float, **kwargs: Any) -> None:
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[..., d]` gives `[..., d]`."""
        fine = tf.cast(inputs, self.variable_dtype)
        scale, shift = (tf.cast(weight, fine.dtype) for weight in (self.gamma, self.beta))
        flat = _normalise(tf.reshape(fine, [-1, inputs.shape[-1]]), scale, shift, self.epsilon)
        return tf.cast(shaped(flat, sizes(inputs)), inputs.dtype)


def _normalise(inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor, epsilon: float) -> tf.Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, for each row of `[rows, d]`."""

    @tf.custom_gradient
    def normalise(inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, Any]:
        centred = inputs - tf.reduce_mean(inputs, 1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), 1, keepdims=True) + epsilon)
        normal = centred * inverse

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # With z the normal rows and g = scale * upstream: (g - mean(g) - z mean(g z)) / deviation.
            # The two means over d are products with scale / d.
            share = scale[:, None] / tf.cast(tf.shape(inputs)[1], scale.dtype)
            along = upstream * normal
            inner = upstream * scale - tf.matmul(upstream, share) - normal * tf.matmul(along, share)
            return inverse * inner, tf.reduce_sum(along, 0), tf.reduce_sum(upstream, 0)

        return normal * scale + shift, gradient

    return normalise(inputs, scale, shift)
