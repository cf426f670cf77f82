"""Windows over a sequence that are shifted and scaled by what is in them: UnifiedSSR's sessions."""

import math
from typing import Any

import keras
import tensorflow as tf

from model.ops.linear import linear

SOFTNESS = 0.5
"""Width of a window's edges, in events."""
HALF_WIDTH = math.log(5.0 / 3.0) / 2.0
"""tanh of it is a quarter: what a window's half width is at first, in parts of its share of the sequence."""


@keras.saving.register_keras_serializable(package="lcr_ser")
class SessionWindows(keras.layers.Layer):
    """S windows, whose means are added to the events in them.

    The sequence is cut into S equal parts. The mean of a part gives two offsets: the window around the middle of the
    part is moved by tanh of the one, at most by a part's length, and reaches as far to both sides as ReLU of tanh of
    the other says. An event belongs to a window by the product of two sigmoids, of its distances from both edges.

    Args:
        dim: d.
        windows: S.
    """

    def __init__(self, dim: int, windows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.windows = dim, windows

    def build(self, input_shape: Any = None) -> None:
        """Create the map that gives offsets, and the width that it adds to."""
        self.kernel = self.add_weight(name="kernel", shape=(self.dim, 2), initializer="zeros")
        self.width = self.add_weight(name="width", shape=(), initializer=keras.initializers.Constant(HALF_WIDTH))

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Events with the means of their windows, `[B, L, d]`, and these means, `[B, S, d]`.

        An event in several windows gets the mean of their means, one that is partly in a window that part of it.

        Args:
            states: `[B, L, d]`.
            mask: True for a real event, `[B, L]`; the others belong to no window.
        """
        belongs = tf.cast(self.membership(states, mask), states.dtype)
        total = tf.reduce_sum(belongs, 2, keepdims=True)
        means = tf.matmul(belongs, states) / tf.maximum(total, 1e-4)
        shares = belongs / tf.maximum(tf.reduce_sum(belongs, 1, keepdims=True), 1.0)
        return states + tf.matmul(shares, means, transpose_a=True), means

    def membership(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """How much each event belongs to each window, from 0 to 1, `[B, S, L]`."""
        real = tf.cast(mask, self.variable_dtype)
        length = tf.reduce_sum(real, 1)[:, None]
        number = tf.cumsum(real, 1)[:, None] - 1.0  # of an event, from the oldest on
        part = tf.range(self.windows, dtype=real.dtype)[None]
        first, end = tf.floor(part * length / self.windows), tf.math.ceil((part + 1.0) * length / self.windows)
        inside = tf.cast((number >= first[:, :, None]) & (number < end[:, :, None]), real.dtype) * real[:, None]
        means = tf.matmul(inside, tf.cast(states, real.dtype)) / tf.maximum(
            tf.reduce_sum(inside, 2, keepdims=True), 1.0
        )
        offsets = linear(tf.nn.relu(means), tf.cast(self.kernel, real.dtype))
        middle = (part + 0.5 + tf.tanh(offsets[:, :, 0])) / self.windows
        reach = tf.nn.relu(tf.tanh(offsets[:, :, 1] + tf.cast(self.width, real.dtype))) / self.windows
        left, right = (tf.clip_by_value(edge, 0.0, 1.0) * length for edge in (middle - reach, middle + reach))
        place = number + 0.5
        after = tf.sigmoid((place - left[:, :, None]) / SOFTNESS)
        return after * tf.sigmoid((right[:, :, None] - place) / SOFTNESS) * real[:, None]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "windows": self.windows}
