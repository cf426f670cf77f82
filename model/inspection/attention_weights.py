"""What an attention looks at: its weights, noted at each call."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from model.layers.attention import Context, FoldedWeights, ResidualAttention
from model.ops.softmax_attention import MASKED_LOGIT


@contextlib.contextmanager
def watch(layer: ResidualAttention) -> Iterator[list[npt.NDArray[Any]]]:
    """Note the weights `[B, T, heads, L + k]` of every eager call: on the history, then on the query's own inputs."""
    seen: list[npt.NDArray[Any]] = []
    call = layer.call

    def noting(
        inputs: tf.Tensor, context: Context, own: tf.Tensor, folded: FoldedWeights, training: bool = False
    ) -> tf.Tensor:
        queries = tf.matmul(inputs, folded.query) + folded.query_bias
        queries = tf.reshape(queries, [*inputs.shape[:2], layer.num_heads, layer.dim])
        on_history = tf.einsum("bthd,bld->bthl", queries, context.events)
        on_history = tf.where(context.mask[:, :, None], on_history, MASKED_LOGIT)
        on_own = tf.einsum("bthd,btkd->bthk", queries, own)
        seen.append(tf.nn.softmax(tf.concat([on_history, on_own], 3)).numpy())
        return call(inputs, context, own, folded, training=training)

    layer.call = noting  # type: ignore[assignment, method-assign]
    try:
        yield seen
    finally:
        layer.call = call  # type: ignore[method-assign]
