"""Preference score of a candidate, Eq. (10)."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.dropout import Dropout
from model.ops.linear import Linear, linear


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
        self.drops = [Dropout(dropout, dtype=self.dtype_policy) for _ in units]

    @property
    def later(self) -> list[Linear]:
        """The layers after the first."""
        return [getattr(self, f"dense_{index}") for index in range(len(self.units))]

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        widths = (*self.units, 1)
        self.kernel = self.add_weight(name="kernel", shape=(4 * self.dim, widths[0]), initializer="glorot_normal")
        self.bias = self.add_weight(name="bias", shape=(widths[0],), initializer="zeros")
        for layer, width in zip(self.later, widths, strict=False):
            layer.build((None, width))

    def parts(self) -> list[tf.Tensor]:
        """The first layer's kernel for e_u, w_s, w_r and e_v, `[d, m]` each."""
        return tf.split(tf.cast(self.kernel, self.compute_dtype), 4)

    def call(
        self,
        user: tf.Tensor,
        search: tf.Tensor,
        rec: tf.Tensor,
        candidates: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """Scores candidates, Eq. (10) as it is printed.

        Args:
            user: e_u, `[B, d]`.
            search, rec: w_s and w_r, `[B, N, C, d]`.
            candidates: e_v, `[B, C, d]`.
            training: whether dropout applies.

        Returns:
            Logits, `[B, N, C]`, in the dtype of the weights.
        """
        _, of_search, of_rec, _ = self.parts()
        aggregated = linear(search, of_search) + linear(rec, of_rec)
        return self.score(aggregated + self.of_users(user)[:, None, None], self.of_items(candidates), training)

    def of_users(self, users: tf.Tensor) -> tf.Tensor:
        """A user's part of the first layer, with its bias: `[..., d]` gives `[..., m]`."""
        return linear(users, self.parts()[0]) + tf.cast(self.bias, users.dtype)

    def of_items(self, items: tf.Tensor) -> tf.Tensor:
        """An item's part of the first layer, the same in every request: `[..., d]` gives `[..., m]`."""
        return linear(items, self.parts()[3])

    def score(self, of_request: tf.Tensor, of_candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The same from parts of the first layer.

        Args:
            of_request: the sum of those of e_u, w_s and w_r, `[B, N, C, m]`.
            of_candidates: those of e_v, `[B, C, m]`.
            training: whether dropout applies.
        """
        outputs = of_request + tf.expand_dims(of_candidates, 1)
        for drop, layer in zip(self.drops, self.later, strict=True):
            outputs = layer(drop(tf.nn.relu(outputs), training=training))
        return tf.cast(tf.squeeze(outputs, -1), self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "units": self.units, "dropout": self.dropout}
