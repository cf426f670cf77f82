"""Dropout from 16 random bits an element.

It saves half of the random numbers, which are what dropout costs (docs/experiments/speed.md).
`test_dropout_meets_its_rate` in tests/model/test_short_cuts.py holds the rate and the scale.
"""

from typing import Any

import keras
import tensorflow as tf

from model.ops.seeds import next_seed

RESOLUTION = 1 << 16


@keras.saving.register_keras_serializable(package="lcr_ser")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose random numbers are half as wide.

    Drawing random numbers is what dropout costs. Here each serves two elements: the rate is met to 2^-17, and what is
    kept is scaled by the rate that was met.

    Args:
        rate: share of elements that become zero.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(rate, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drop elements of any shape."""
        dropped = round(self.rate * RESOLUTION)
        if not training or not dropped:
            return inputs
        return inputs * self._mask(tf.shape(inputs), dropped, inputs.dtype)

    def _mask(self, shape: tf.Tensor, dropped: int, dtype: Any) -> tf.Tensor:
        """Zero for `dropped` out of 2^16 elements, the scale for the others."""
        size = tf.reduce_prod(shape)
        words = tf.random.stateless_uniform(
            [(size + 1) // 2], next_seed(self.seed_generator), minval=None, maxval=None, dtype=tf.int32
        )
        halves = tf.reshape(tf.bitcast(words, tf.int16), [-1])[:size]
        kept = tf.constant(RESOLUTION / (RESOLUTION - dropped), dtype)
        return tf.reshape(tf.where(halves >= dropped - RESOLUTION // 2, kept, tf.zeros([], dtype)), shape)
