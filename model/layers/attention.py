"""Multi-head attention of Eq. (1) to (5), over a history and each query's own reasoning inputs."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ops.shapes import shaped, sizes
from model.ops.softmax_attention import attend


class Context(NamedTuple):
    """A history that attention looks at.

    Attributes:
        events: E, `[B, L, d]`.
        mask: True where a query may look, `[B, 1 or T, L]`.
    """

    events: tf.Tensor
    mask: tf.Tensor


class FoldedWeights(NamedTuple):
    """The weights of an attention whose keys and values are never computed; see `ResidualAttention`.

    Attributes:
        query, query_bias: what makes queries for raw events, `[d, heads d]` and `[heads d]`.
        out, out_bias: what takes weighted sums of raw events to the output, transposed, `[d, heads d]`, and `[d]`.
    """

    query: tf.Tensor
    query_bias: tf.Tensor
    out: tf.Tensor
    out_bias: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class ResidualAttention(keras.layers.Layer):
    """MSA or MCA of Eq. (1) to (5), with the residual sum around it.

    Keys and values are folded into what is around them. For a head with projections Q, K, V and output O, an input x
    and events E:

        (x Q + q) (E K + k)^T = (x Q K^T + q K^T) E^T + what is the same for all events, which softmax ignores,
        (weights (E V + v)) O = (weights E) V O + v O, as weights add up to 1.

    So the history itself is the only memory: nothing is projected for an event, nothing is copied to append one, and
    no head is split off. Q K^T and V O are products of small matrices, made once a step. What it costs is inner
    products of length d instead of d / heads, which pays while heads are few.

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
        # They hold the weights; `fold` is what uses them.
        self.query, self.key_value, self.out = (
            keras.layers.Dense(width, kernel_initializer="glorot_normal", dtype=dtype, name=name)
            for name, width in (("query", dim), ("key_value", 2 * dim), ("out", dim))
        )
        self.drop = Dropout(dropout, dtype=dtype)
        self.norm = Normalization(epsilon=1e-5, dtype=dtype) if post_norm else None

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        for layer in (self.query, self.key_value, self.out, self.norm):
            if layer is not None:
                layer.build((None, None, self.dim))

    def fold(self) -> FoldedWeights:
        """The weights as `call` uses them; make them once for many calls."""
        heads = [self.num_heads, self.dim // self.num_heads]
        key, value = tf.split(self.key_value.kernel, 2, axis=1)
        query, key, value = (tf.reshape(kernel, [self.dim, *heads]) for kernel in (self.query.kernel, key, value))
        out = tf.reshape(self.out.kernel, [*heads, self.dim])
        scale = heads[1] ** -0.5
        width = self.num_heads * self.dim
        folded = FoldedWeights(
            tf.reshape(tf.einsum("ihk,jhk->ihj", query, key), [self.dim, width]) * scale,
            tf.reshape(tf.einsum("hk,jhk->hj", tf.reshape(self.query.bias, heads), key), [width]) * scale,
            # Transposed, its gradient is a product that TensorFlow does faster.
            tf.reshape(tf.einsum("jhk,hkd->dhj", value, out), [self.dim, width]),
            tf.linalg.matvec(self.out.kernel, self.key_value.bias[self.dim :], transpose_a=True) + self.out.bias,
        )
        return FoldedWeights(*(tf.cast(weight, self.compute_dtype) for weight in folded))

    def call(
        self,
        inputs: tf.Tensor,
        context: Context,
        own: tf.Tensor | None = None,
        folded: FoldedWeights | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Attends from every input to the history and to its own reasoning inputs.

        Args:
            inputs: x, `[B, T, d]`; in reasoning T = N, one for each trajectory.
            context: the history, shared by the T inputs.
            own: the reasoning inputs e^(1) to e^(k) so far, `[B, T, k, d]`; input t sees its own row.
            folded: what `fold` gave.
            training: whether dropout applies.

        Returns:
            `[B, T, d]`. Where an input may look at nothing the values are finite but meaningless.
        """
        weights = folded or self.fold()
        batch, count, _ = sizes(inputs)
        queries = tf.nn.bias_add(tf.matmul(tf.reshape(inputs, [-1, self.dim]), weights.query), weights.query_bias)
        queries = shaped(queries, [batch, count, self.num_heads, self.dim])
        mixed = tf.reshape(attend(queries, *context, own), [-1, self.num_heads * self.dim])
        outputs = tf.nn.bias_add(tf.matmul(mixed, weights.out, transpose_b=True), weights.out_bias)
        result = inputs + self.drop(shaped(outputs, [batch, count, self.dim]), training=training)
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
