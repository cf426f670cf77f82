"""Transformer blocks of the baselines, out of Keras' own attention."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import keras
import tensorflow as tf

from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.normalization import Normalization

Norm: TypeAlias = Literal["query", "pre", "post"]
"""Where a block normalises: `post` after each residual sum (Vaswani et al. 2017), `pre` before attention and
feed-forward network, `query` as SASRec's authors do."""


def causal(mask: tf.Tensor) -> tf.Tensor:
    """What each place may look at if it knows the past alone: `[B, L]` of real events gives `[B, L, L]`."""
    length = mask.shape[1] or tf.shape(mask)[1]
    return (tf.range(length)[:, None] >= tf.range(length)[None, :])[None] & mask[:, None, :]


@keras.saving.register_keras_serializable(package="lcr_ser")
class TransformerBlock(keras.layers.Layer):
    """Attention and a feed-forward network, each with a residual sum.

    | norm | attention | feed-forward network |
    |---|---|---|
    | `post` | x = LN(x + A(x, x)) | x = LN(x + F(x)) |
    | `pre` | y = LN(x), x = x + A(y, y) | x = x + F(LN(x)) |
    | `query` | y = LN(x), x = y + A(y, x) | y = LN(x), x = y + F(y) |

    Args:
        dim: d.
        num_heads: heads; divides `dim`.
        hidden_units: width of the feed-forward network; 0 is d.
        dropout: rate on attention weights and on the outputs of attention and feed-forward network.
        norm: where it normalises.
        activation: of the feed-forward network.
        epsilon: of layer normalisation.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        dropout: float,
        *,
        hidden_units: int = 0,
        norm: Norm = "post",
        activation: str | Callable[[tf.Tensor], tf.Tensor] = "relu",
        epsilon: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.num_heads, self.dropout = dim, num_heads, dropout
        self.hidden_units, self.norm, self.activation, self.epsilon = hidden_units, norm, activation, epsilon
        dtype = self.dtype_policy
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, dim // num_heads, dropout=dropout, kernel_initializer="glorot_normal", dtype=dtype
        )
        self.hidden = Linear(hidden_units or dim, activation=activation, dtype=dtype)
        self.out = Linear(dim, dtype=dtype)
        self.attention_norm = Normalization(epsilon, dtype=dtype)
        self.feed_forward_norm = Normalization(epsilon, dtype=dtype)
        self.drop = Dropout(dropout, dtype=dtype)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        shape = (None, None, self.dim)
        self.attention.build(shape, shape)
        self.hidden.build(shape)
        self.out.build((None, None, self.hidden_units or self.dim))
        self.attention_norm.build(shape)
        self.feed_forward_norm.build(shape)

    def call(
        self, inputs: tf.Tensor, mask: tf.Tensor, training: bool = False, seen: tf.Tensor | None = None
    ) -> tf.Tensor:
        """`[B, L, d]` gives `[B, L, d]`.

        Args:
            inputs: states.
            mask: what each place may look at, bool `[B, L, L]`; where that is nothing, the result is finite and
                without meaning.
            training: whether dropout applies.
            seen: the M inputs of this block to look at, `[B, M, d]`, with a mask `[B, L, M]`; None is `inputs`.
        """
        return self.feed_forward(self.attend(inputs, mask, training, seen), training)

    def attend(
        self, inputs: tf.Tensor, mask: tf.Tensor, training: bool = False, seen: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The half with the attention."""
        queries = inputs if self.norm == "post" else self.attention_norm(inputs)
        if seen is None:
            values = inputs if self.norm == "query" else queries
        else:
            values = self.attention_norm(seen) if self.norm == "pre" else seen
        attended = self.attention(queries, values, attention_mask=mask, training=training)
        attended = self.drop(attended, training=training)
        if self.norm == "post":
            return self.attention_norm(inputs + attended)
        return (queries if self.norm == "query" else inputs) + attended

    def feed_forward(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The half with the feed-forward network."""
        normal = inputs if self.norm == "post" else self.feed_forward_norm(inputs)
        outputs = self.drop(self.out(self.hidden(normal)), training=training)
        if self.norm == "post":
            return self.feed_forward_norm(inputs + outputs)
        return (normal if self.norm == "query" else inputs) + outputs

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("dim", "num_heads", "dropout", "hidden_units", "norm", "activation", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="lcr_ser")
class TransformerEncoder(keras.layers.Layer):
    """Blocks one after another; normalised at the end unless each block does so itself.

    Args:
        dim, num_heads, dropout, hidden_units, norm, activation, epsilon: of each `TransformerBlock`.
        num_blocks: blocks.
    """

    def __init__(self, num_blocks: int, dim: int, num_heads: int, dropout: float, **kwargs: Any) -> None:
        options = {
            name: kwargs.pop(name) for name in ("hidden_units", "norm", "activation", "epsilon") if name in kwargs
        }
        super().__init__(**kwargs)
        self.num_blocks, self.dim, self.num_heads, self.dropout, self.options = (
            num_blocks,
            dim,
            num_heads,
            dropout,
            options,
        )
        for number in range(num_blocks):  # TensorFlow does not save what is in a list of Keras
            block = TransformerBlock(dim, num_heads, dropout, dtype=self.dtype_policy, **options)
            setattr(self, f"block_{number}", block)
        self.norm = (
            None
            if options.get("norm", "post") == "post"
            else Normalization(options.get("epsilon", 1e-8), dtype=self.dtype_policy)
        )

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        for layer in (*self.blocks, self.norm):
            if layer is not None:
                layer.build((None, None, self.dim))

    @property
    def blocks(self) -> list[TransformerBlock]:
        """The blocks, the first one first."""
        return [getattr(self, f"block_{number}") for number in range(self.num_blocks)]

    def call(self, inputs: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`[B, L, d]` gives `[B, L, d]`; the mask is that of `TransformerBlock`."""
        states = inputs
        for block in self.blocks:
            states = block(states, mask, training=training)
        return states if self.norm is None else self.norm(states)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in ("num_blocks", "dim", "num_heads", "dropout")},
            **self.options,
        }


@keras.saving.register_keras_serializable(package="lcr_ser")
class TransformerDecoderBlock(TransformerBlock):
    """A `TransformerBlock` with a second attention, to a memory, before its feed-forward network.

    | norm | attention to the memory m |
    |---|---|
    | `post` | x = LN(x + A(x, m)) |
    | `pre` | x = x + A(LN(x), m) |

    Args:
        dim, num_heads, dropout, hidden_units, activation, epsilon: as there; dropout is on the outputs of the second
            attention, too.
        norm: `post` or `pre`.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(dim, num_heads, dropout, **kwargs)
        dtype = self.dtype_policy
        self.memory_attention = keras.layers.MultiHeadAttention(
            num_heads, dim // num_heads, dropout=dropout, kernel_initializer="glorot_normal", dtype=dtype
        )
        self.memory_norm = Normalization(self.epsilon, dtype=dtype)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        super().build(input_shape)
        shape = (None, None, self.dim)
        self.memory_attention.build(shape, shape)
        self.memory_norm.build(shape)

    def call(  # type: ignore[override]  # a block with a memory takes one
        self, inputs: tf.Tensor, mask: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """`[B, L, d]` gives `[B, L, d]`.

        Args:
            inputs, mask: as in `TransformerBlock`.
            memory: `[B, M, d]`.
            memory_mask: what of it each place may look at, bool `[B, 1 or L, M]`; where that is nothing, nothing is
                added.
            training: whether dropout applies.
        """
        states = self.recall(self.attend(inputs, mask, training), memory, memory_mask, training)
        return self.feed_forward(states, training)

    def recall(self, inputs: tf.Tensor, memory: tf.Tensor, memory_mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The part with the attention to the memory."""
        queries = inputs if self.norm == "post" else self.memory_norm(inputs)
        found = self.memory_attention(queries, memory, attention_mask=memory_mask, training=training)
        found *= tf.cast(tf.reduce_any(memory_mask, 2, keepdims=True), found.dtype)
        found = self.drop(found, training=training)
        return self.memory_norm(inputs + found) if self.norm == "post" else inputs + found
