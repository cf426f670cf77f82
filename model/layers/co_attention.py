"""How much each event of one sequence has to do with another sequence."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.linear import linear
from model.ops.softmax_attention import MASKED_LOGIT


@keras.saving.register_keras_serializable(package="lcr_ser")
class CoAttention(keras.layers.Layer):
    """Co-attention between clicks R and searches S.

    With the affinity A = tanh(R W S^T) the weights of searches are softmax(w_r R^T A), those of clicks
    softmax(w_s S^T A^T). Padding has neither weight nor say; with nothing to compare it with, all of a sequence
    weighs the same.

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Create W, w_r and w_s."""
        self.kernel = self.add_weight(name="kernel", shape=(self.dim, self.dim), initializer="glorot_normal")
        self.of_rec, self.of_search = (
            self.add_weight(name=name, shape=(self.dim, 1), initializer="glorot_normal")
            for name in ("of_rec", "of_search")
        )

    def call(
        self, rec: tf.Tensor, search: tf.Tensor, rec_mask: tf.Tensor, search_mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Weights of clicks `[B, Lr]` and of searches `[B, Ls]`, in the dtype of the weights; of no event all are 0.

        Args:
            rec, search: states, `[B, Lr, d]` and `[B, Ls, d]`.
            rec_mask, search_mask: True for a real event, `[B, Lr]` and `[B, Ls]`.
        """
        affinity = tf.tanh(tf.matmul(linear(rec, tf.cast(self.kernel, rec.dtype)), search, transpose_b=True))
        say_of_rec, say_of_search = (
            tf.squeeze(linear(states, tf.cast(kernel, states.dtype)), 2) * tf.cast(mask, states.dtype)
            for states, kernel, mask in ((rec, self.of_rec, rec_mask), (search, self.of_search, search_mask))
        )
        scores = tf.linalg.matvec(affinity, say_of_search), tf.linalg.matvec(affinity, say_of_rec, transpose_a=True)
        rec_weights, search_weights = (
            tf.nn.softmax(tf.where(mask, tf.cast(score, self.variable_dtype), MASKED_LOGIT))
            * tf.cast(mask, self.variable_dtype)
            for score, mask in zip(scores, (rec_mask, search_mask), strict=True)
        )
        return rec_weights, search_weights

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}
