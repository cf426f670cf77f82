"""Mean over history and reasoning states: the aggregation of the paper's Table 3 without TRA."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.shapes import sizes
from model.ops.weighted_states import WeightedStates


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
        """w, `[B, N, 1, d]`: what `weigh` gives, summed."""
        return self.weigh(candidates, states, mask, steps).total()

    def weigh(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor) -> WeightedStates:
        """The same weight for all rows, and for every candidate.

        Args:
            candidates: not looked at; `TargetAttention` takes them.
            states: H, `[B, L, d]`.
            mask: True for a real event, `[B, L]`; other states do not count.
            steps: h^(1) to h^(K) of each trajectory, `[B, N, K, d]`; never masked.

        Returns:
            Weights `[B, 1, 1, L]` and `[B, N, 1, K]`; zero where there is neither an event nor a step.
        """
        weights = tf.cast(mask, states.dtype)
        count = tf.reduce_sum(weights, 1) + tf.cast(tf.shape(steps)[2], states.dtype)
        share = (1.0 / tf.maximum(count, 1.0))[:, None, None, None]
        batch, trajectories, count_of_steps, _ = sizes(steps)
        of_steps = tf.broadcast_to(share, [batch, trajectories, 1, count_of_steps])
        return WeightedStates(weights[:, None, None] * share, states, of_steps, steps)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}
