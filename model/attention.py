"""Multi-head attention of Eq. (1) to (5), over a history and each query's own reasoning inputs."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.linear import Linear

MASKED_LOGIT = -1e9


class Memory(NamedTuple):
    """Keys and values of a history, projected once.

    Attributes:
        keys, values: `[B, heads, L, d / heads]`.
        mask: True where a query may look, `[B, 1 or T, L]`.
    """

    keys: tf.Tensor
    values: tf.Tensor
    mask: tf.Tensor


def softmax(logits: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis, computed in float32 or finer and given in the dtype of `logits`."""
    fine = tf.cast(logits, tf.float32) if logits.dtype.size < tf.float32.size else logits
    return tf.cast(tf.nn.softmax(fine), logits.dtype)


@keras.saving.register_keras_serializable(package="lcr_ser")
class ResidualAttention(keras.layers.Layer):
    """MSA or MCA of Eq. (1) to (5), with the residual sum around it.

    Args:
        dim: d.
        num_heads: heads; divides `dim`.
        dropout: rate on the attention's output.
        post_norm: normalise the residual sum.

    Raises:
        ValueError: if `num_heads` does not divide `dim`.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, post_norm: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(f"`num_heads` should divide `dim`. Received: {num_heads} and {dim}.")
        self.dim = dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.post_norm = post_norm
        dtype = self.dtype_policy
        self.query = Linear(dim, dtype=dtype, name="query")
        self.key_value = Linear(2 * dim, dtype=dtype, name="key_value")
        self.out = Linear(dim, dtype=dtype, name="out")
        self.drop = keras.layers.Dropout(dropout, dtype=dtype)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype=dtype) if post_norm else None

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights."""
        for layer in (self.query, self.key_value, self.out, self.norm):
            if layer is not None:
                layer.build((None, None, self.dim))

    def remember(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Projects inputs `[B, T, d]` to keys and values `[B, heads, T, d / heads]`."""
        keys, values = tf.split(self.key_value(inputs), 2, axis=-1)
        return self._split_heads(keys), self._split_heads(values)

    def call(
        self,
        inputs: tf.Tensor,
        memory: Memory,
        own: tuple[tuple[tf.Tensor, tf.Tensor], ...] = (),
        training: bool = False,
    ) -> tf.Tensor:
        """Attends from every input to the history and to its own reasoning inputs.

        Args:
            inputs: queries `[B, T, d]`; in reasoning T = N, a query for each trajectory.
            memory: the history, shared by the T queries.
            own: a pair of keys and values `[B, heads, T, d / heads]` for each reasoning step so far; query t sees
                column t of each.
            training: whether dropout applies.

        Returns:
            `[B, T, d]`. Where a query may look at nothing the values are finite but meaningless.
        """
        query = self._split_heads(self.query(inputs)) * (self.dim // self.num_heads) ** -0.5
        logits = tf.matmul(query, memory.keys, transpose_b=True)
        logits = tf.where(memory.mask[:, None], logits, MASKED_LOGIT)
        own_logits = [tf.reduce_sum(query * keys, -1, keepdims=True) for keys, _ in own]
        weights = softmax(tf.concat([logits, *own_logits], -1))
        history, *own_weights = tf.split(weights, [tf.shape(logits)[-1], *[1] * len(own)], -1)
        mixed = tf.matmul(history, memory.values)
        for weight, (_, values) in zip(own_weights, own, strict=True):
            mixed += weight * values
        joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), tf.shape(inputs))
        result = inputs + self.drop(self.out(joined), training=training)
        return result if self.norm is None else self.norm(result)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "post_norm": self.post_norm,
        }

    def _split_heads(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        heads = tf.reshape(inputs, [shape[0], shape[1], self.num_heads, self.dim // self.num_heads])
        return tf.transpose(heads, [0, 2, 1, 3])
