"""SASRec: self-attention over the clicks of a user (Kang and McAuley, ICDM 2018)."""

import dataclasses
from typing import Any, Literal

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.transformer import Norm, TransformerEncoder, causal
from model.ops.dropout import Dropout

EPSILON = 1e-8
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class SasRecConfig(EncoderConfig):
    """Shape of SASRec, with the authors' defaults where they do not depend on the data; see `EncoderConfig`."""

    kind: Literal["sasrec"] = "sasrec"
    loss: Literal["softmax", "bce", "bce_one"] = "bce_one"
    norm: Norm = "query"
    activation: Literal["relu", "gelu"] = "relu"


@keras.saving.register_keras_serializable(package="lcr_ser")
class SasRec(SequenceRanker):
    """SASRec: the inner product of an item with the last state of a causal Transformer over the clicks.

    Sections III.A to III.E of the paper. Departures, so that it is compared on the same rows as the others: a training
    row is one clicked item and its sampled negatives, not every place of a sequence; positions count from the newest
    click back; a user without a click has a learned state, which the paper's data does not know.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    config_class = SasRecConfig
    config: SasRecConfig

    def __init__(self, config: SasRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype = self.dtype_policy
        self.positions = PositionEmbedding(config.rec_length, config.dim, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.encoder = TransformerEncoder(**config.encoder_options(), epsilon=EPSILON, dtype=dtype)
        self.build()

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state of the newest click after all blocks, `[B, d]`."""
        states = self.positions(embedded.rec * self.config.dim**0.5)
        states = self.drop(tf.cast(states, self.compute_dtype), training=training)
        return self.encoder(states, causal(embedded.rec_mask), training=training)[:, -1]
