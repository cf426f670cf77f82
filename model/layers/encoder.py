"""Transformer encoder of one history, Eq. (1)."""

from typing import Any

import keras
import tensorflow as tf

from model.layers.attention import Context, ResidualAttention
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.normalization import Normalization
from model.ops.shapes import sizes


@keras.saving.register_keras_serializable(package="lcr_ser")
class HistoryEncoder(keras.layers.Layer):
    """Causal Transformer layer of Eq. (1); Eq. (3) to (5) reuse its `attention` and `feed_forward`.

    With `post_norm`: x = LN(E + MSA(E)), H = LN(x + FFN(x)). Without: H = FFN(MSA(E) + E), as printed.

    Args:
        dim: d, also the hidden width of the FFN.
        num_heads, dropout, post_norm: as in `ResidualAttention`.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, post_norm: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.post_norm = post_norm
        dtype = self.dtype_policy
        self.attention = ResidualAttention(dim, num_heads, dropout, post_norm, dtype=dtype, name="attention")
        self.hidden = Linear(dim, activation="relu", dtype=dtype, name="hidden")
        self.out = Linear(dim, dtype=dtype, name="out")
        self.drop = Dropout(dropout, dtype=dtype)
        self.norm = Normalization(epsilon=1e-5, dtype=dtype) if post_norm else None

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        for layer in (self.attention, self.hidden, self.out, self.norm):
            if layer is not None:
                layer.build((None, None, self.dim))

    def call(self, inputs: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, Context]:
        """Encode a history.

        Args:
            inputs: events with positions, `[B, L, d]`, newest last.
            mask: True for a real event, `[B, L]`. What stands under False reaches no real event.
            training: whether dropout applies.

        Returns:
            H, `[B, L, d]`, and what the reasoning steps look at: all real events.
        """
        length = sizes(inputs)[1]
        causal = tf.range(length)[:, None] >= tf.range(length)[None, :]
        seen = Context(inputs, causal[None] & mask[:, None, :])
        states = self.feed_forward(self.attention(inputs, seen, training=training), training)
        return states, Context(inputs, mask[:, None, :])

    def feed_forward(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """FFN of `[..., d]`, with its residual sum and normalisation if `post_norm`."""
        outputs = self.drop(self.out(self.hidden(inputs)), training=training)
        return outputs if self.norm is None else self.norm(inputs + outputs)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "post_norm": self.post_norm,
        }
