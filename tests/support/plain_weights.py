"""The weights of our model for the plain one."""

import keras
import tensorflow as tf

from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from model.plain import PlainLcrSer


def copy_weights(model: LcrSer, plain: PlainLcrSer) -> None:
    """Gives a plain model, already called once, the weights of ours."""
    config, reasoning, head = model.config, model.reasoning, model.head
    for ours, theirs in zip(model.tables, (plain.users, plain.items, plain.words), strict=True):
        theirs.embeddings.assign(ours.table)
    plain.search.positions.embeddings.assign(model.search_positions.positions)
    plain.rec.positions.embeddings.assign(model.rec_positions.positions)
    plain.search.steps.assign(reasoning.search_steps)
    plain.rec.steps.assign(reasoning.rec_steps)
    plain.search.bilinear.kernel.assign(model.search_attention.kernel)
    plain.rec.bilinear.kernel.assign(model.rec_attention.kernel)
    for side, encoder, cross in (
        (plain.search, reasoning.search_encoder, reasoning.search_cross),
        (plain.rec, reasoning.rec_encoder, reasoning.rec_cross),
    ):
        _copy_attention(encoder.attention, side.own, config)
        _copy_attention(cross, side.cross, config)
        for ours, theirs in (
            (encoder.hidden, side.feed_forward.hidden),
            (encoder.out, side.feed_forward.out),
            (encoder.norm, side.feed_forward.norm),
        ):
            theirs.set_weights(ours.get_weights())
    plain.hidden[0].set_weights([head.kernel.numpy(), head.bias.numpy()])
    for ours, theirs in zip(head.later, [*plain.hidden[1:], plain.score], strict=True):
        theirs.set_weights(ours.get_weights())


def _copy_attention(ours: keras.layers.Layer, theirs: keras.layers.Layer, config: LcrSerConfig) -> None:
    heads = (config.num_heads, config.dim // config.num_heads)
    query, query_bias = ours.query.get_weights()
    (key, value), (key_bias, value_bias) = (tf.split(part, 2, -1) for part in ours.key_value.get_weights())
    out, out_bias = ours.out.get_weights()
    theirs.attention.set_weights(
        [
            *(
                tf.reshape(part, (*part.shape[:-1], *heads)).numpy()
                for part in (query, query_bias, key, key_bias, value, value_bias)
            ),
            out.reshape(*heads, config.dim),
            out_bias,
        ]
    )
    theirs.norm.set_weights(ours.norm.get_weights())
