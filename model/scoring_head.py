"""Preference score of a candidate, Eq. (10)."""

from typing import Any

import keras
import tensorflow as tf

from model.linear import Linear


@keras.saving.register_keras_serializable(package="lcr_ser")
class ScoringHead(keras.layers.Layer):
    """MLP over CONCAT(e_u, w_s, w_r, e_v) that gives a logit.

    The first layer is applied to the four parts apart, which is the same sum of products: the parts of the user
    and of the candidate are computed once for all trajectories.

    Args:
        dim: d.
        units: hidden widths.
        dropout: rate after each hidden layer.
    """

    def __init__(self, dim: int, units: tuple[int, ...], dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.units = tuple(units)
        self.dropout = dropout
        # One attribute a layer: tf.train.Checkpoint does not see into the lists of a Keras layer.
        for index, width in enumerate((*units, 1)[1:]):
            # The last one is as precise as the weights: rounded logits would tie.
            policy = self.dtype_policy if index < len(self.units) - 1 else self.variable_dtype
            setattr(self, f"dense_{index}", Linear(width, dtype=policy, name=f"dense_{index}"))
        self.drops = [keras.layers.Dropout(dropout, dtype=self.dtype_policy) for _ in units]

    @property
    def later(self) -> list[Linear]:
        """The layers after the first."""
        return [getattr(self, f"dense_{index}") for index in range(len(self.units))]

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights."""
        widths = (*self.units, 1)
        self.kernel = self.add_weight(name="kernel", shape=(4 * self.dim, widths[0]), initializer="glorot_normal")
        self.bias = self.add_weight(name="bias", shape=(widths[0],), initializer="zeros")
        for layer, width in zip(self.later, widths, strict=False):
            layer.build((None, width))

    def call(
        self,
        user: tf.Tensor,
        search: tf.Tensor,
        rec: tf.Tensor,
        candidates: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """Scores candidates.

        Args:
            user: e_u, `[B, d]`.
            search, rec: w_s and w_r, `[B, N, C, d]`.
            candidates: e_v, `[B, C, d]`.
            training: whether dropout applies.

        Returns:
            Logits, `[B, N, C]`, in the dtype of the weights.
        """
        of_user, of_search, of_rec, of_candidate = tf.split(self.kernel, 4)
        shared = tf.tensordot(candidates, of_candidate, 1) + (tf.matmul(user, of_user) + self.bias)[:, None]
        outputs = tf.tensordot(search, of_search, 1) + tf.tensordot(rec, of_rec, 1) + shared[:, None]
        for drop, layer in zip(self.drops, self.later, strict=True):
            outputs = layer(drop(tf.nn.relu(outputs), training=training))
        return tf.cast(outputs[..., 0], self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "units": self.units, "dropout": self.dropout}
