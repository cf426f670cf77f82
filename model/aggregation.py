"""Target-aware aggregation of history and reasoning states, Eq. (7) and (8)."""

from typing import Any

import keras
import tensorflow as tf

from model.attention import MASKED_LOGIT, softmax


@keras.saving.register_keras_serializable(package="lcr_ser")
class TargetAttention(keras.layers.Layer):
    """Att of Eq. (8): scores h W e_v / sqrt(d), a softmax over real events and reasoning steps, a weighted sum.

    The root keeps the first weights near a plain mean. Without it the attention is peaked before it has learnt
    anything, and overfits (BUILD_NOTES.md has the figures).

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Creates W."""
        self.kernel = self.add_weight(name="kernel", shape=(self.dim, self.dim), initializer="glorot_normal")

    def call(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """Aggregates for each candidate.

        Args:
            candidates: embeddings e_v, `[B, C, d]`.
            states: H, `[B, L, d]`, scored once for all trajectories; with `steps` it is H^(K) of Eq. (7).
            mask: True for a real event, `[B, L]`; other states get no weight.
            steps: h^(1) to h^(K) of each trajectory, `[B, N, K, d]`; never masked.

        Returns:
            w, `[B, N, C, d]`; zero where there is neither an event nor a step.
        """
        queries = tf.tensordot(candidates, tf.transpose(self.kernel), 1) * self.dim**-0.5
        history = tf.where(mask[:, None], tf.matmul(queries, states, transpose_b=True), MASKED_LOGIT)
        reasoning = tf.matmul(tf.expand_dims(queries, 1), steps, transpose_b=True)
        history = tf.repeat(tf.expand_dims(history, 1), tf.shape(steps)[1], axis=1)
        weights = softmax(tf.concat([history, reasoning], -1))
        history, reasoning = tf.split(weights, [tf.shape(states)[1], tf.shape(steps)[2]], -1)
        # Without a single event and without a step the softmax is uniform over padding: this makes it zero.
        history *= tf.cast(mask, history.dtype)[:, None, None]
        return tf.matmul(history, tf.expand_dims(states, 1)) + tf.matmul(reasoning, steps)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}
