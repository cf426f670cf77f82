"""Mean over history and reasoning states: the aggregation of the paper's Table 3 without TRA."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="lcr_ser")
class MeanPooling(keras.layers.Layer):
    """Mean of the rows of H^(K), Eq. (7), in the place of Eq. (8); it has no weights.

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def call(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """Averages once for all candidates.

        Args:
            candidates: not looked at; `TargetAttention` takes them.
            states: H, `[B, L, d]`.
            mask: True for a real event, `[B, L]`; other states do not count.
            steps: h^(1) to h^(K) of each trajectory, `[B, N, K, d]`; never masked.

        Returns:
            w, `[B, N, 1, d]`, for every candidate the same; zero where there is neither an event nor a step.
        """
        weights = tf.cast(mask, states.dtype)
        total = tf.einsum("bl,bld->bd", weights, states)[:, None] + tf.reduce_sum(steps, 2)
        count = tf.reduce_sum(weights, 1) + tf.cast(tf.shape(steps)[2], states.dtype)
        return (total / tf.maximum(count, 1.0)[:, None, None])[:, :, None]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}
