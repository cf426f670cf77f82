"""The first of two stages: a vector for each request, whose inner products with item embeddings find candidates."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.linear import linear


@keras.saving.register_keras_serializable(package="lcr_ser")
class RetrievalHead(keras.layers.Layer):
    """A linear map of the user and of what both histories came to: `[B, 3 d]` gives `[B, d]`.

    It begins as the sum of both histories' last states, which the contrastive loss draws to the clicked item: untrained
    it finds most of what the whole model ranks first (docs/experiments/retrieval.md). So nothing here is drawn at
    random, and no other weight begins elsewhere for its sake.

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Create the map."""

        def identities(shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
            one = tf.eye(self.dim, dtype=dtype)
            return tf.concat([tf.zeros_like(one), one, one], 0)

        self.kernel = self.add_weight(name="kernel", shape=(3 * self.dim, self.dim), initializer=identities)
        self.bias = self.add_weight(name="bias", shape=(self.dim,), initializer="zeros")

    def call(self, user: tf.Tensor, search: tf.Tensor, rec: tf.Tensor) -> tf.Tensor:
        """The query of each request, from e_u and the last state of each side, `[B, d]` each."""
        kernel = tf.cast(self.kernel, search.dtype)
        return linear(tf.concat([tf.cast(user, search.dtype), search, rec], 1), kernel) + tf.cast(
            self.bias, search.dtype
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}
