"""SASRec: self-attention over the clicks of a user (Kang and McAuley, ICDM 2018)."""

import dataclasses
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from model.config import RankerConfig, SupervisedConfig, check_dropout, check_heads
from model.contract import CANDIDATES, PADDING_ID, REC_ITEMS
from model.layers.attention import Context, ResidualAttention
from model.layers.embeddings import EmbeddingTable, PositionEmbedding, take
from model.objectives.losses import recommendation_loss
from model.objectives.ties import tie_unknown
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.normalization import Normalization
from model.ranker import WHOLE, Batch, Logs, Ranker, Share, State

EPSILON = 1e-8
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class SasRecConfig(RankerConfig):
    """Shape of SASRec, with the authors' defaults where they do not depend on the data.

    Attributes:
        num_blocks: b, self-attention blocks.
        num_heads: heads of each attention; divides `dim`.
        dropout: rate on embeddings, attention outputs and feed-forward outputs.
    """

    kind: Literal["sasrec"] = "sasrec"
    num_blocks: int = 2
    num_heads: int = 1
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_blocks < 1:
            raise ValueError(f"`num_blocks` should be at least 1. Received: {self.num_blocks}.")
        check_heads(self)
        check_dropout(self)


class Embedded(NamedTuple):
    """A batch after its lookups.

    Attributes:
        rec: items clicked, without positions, `[B, Lr, d]`.
        rec_mask: True for a real click, `[B, Lr]`.
        candidates: `[B, C, d]`; C is 0 for a batch without candidates.
        rows: the distinct rows looked up, `[U, d]`.
    """

    rec: tf.Tensor
    rec_mask: tf.Tensor
    candidates: tf.Tensor
    rows: tuple[tf.Tensor, ...]


class PreparedItems(NamedTuple):
    """Items `[...]` and their embeddings `[..., d]`."""

    ids: tf.Tensor
    embeddings: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class SasRecBlock(keras.layers.Layer):
    """One block, sections III.B and III.C: attention whose query alone is normalised, then a feed-forward network.

    Args:
        dim: d, also the hidden width of the feed-forward network.
        num_heads, dropout: as in `SasRecConfig`.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.num_heads, self.dropout = dim, num_heads, dropout
        dtype = self.dtype_policy
        self.query_norm = Normalization(EPSILON, dtype=dtype)
        self.attention = ResidualAttention(dim, num_heads, dropout, post_norm=False, dtype=dtype)
        self.norm = Normalization(EPSILON, dtype=dtype)
        self.hidden = Linear(dim, activation="relu", dtype=dtype)
        self.out = Linear(dim, dtype=dtype)
        self.drop = Dropout(dropout, dtype=dtype)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        for layer in (self.query_norm, self.attention, self.norm, self.hidden, self.out):
            layer.build((None, None, self.dim))

    def call(self, inputs: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`[B, L, d]` gives `[B, L, d]`.

        Args:
            inputs: states of the events.
            mask: what each place may look at, `[B, L, L]`.
            training: whether dropout applies.
        """
        attended = self.attention(self.query_norm(inputs), Context(inputs, mask), training=training)
        normal = self.norm(attended)
        return normal + self.drop(self.out(self.hidden(normal)), training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "num_heads": self.num_heads, "dropout": self.dropout}


@keras.saving.register_keras_serializable(package="lcr_ser")
class SasRec(Ranker):
    """SASRec: the inner product of an item with the last state of a causal Transformer over the clicks.

    Departures from the paper, so that it is compared on the same rows as the others: a training row is one clicked item
    and its sampled negatives, not every place of a sequence with one negative; positions count from the newest click
    back; a user without a click has a learned state, which the paper's data does not know.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    inputs = (REC_ITEMS,)
    config_class = SasRecConfig
    config: SasRecConfig

    def __init__(self, config: SasRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        dim, dtype = config.dim, self.dtype_policy
        [self.items] = tables or [EmbeddingTable(config.num_items, dim, dtype=dtype, name="items")]
        self.positions = PositionEmbedding(config.rec_length, dim, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        for number in range(config.num_blocks):  # TensorFlow does not save what is in a list of Keras
            setattr(self, f"block_{number}", SasRecBlock(dim, config.num_heads, config.dropout, dtype=dtype))
        self.norm = Normalization(EPSILON, dtype=dtype)
        self.newcomer = self.add_weight(name="newcomer", shape=(dim,), initializer="zeros")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create every variable."""
        self.norm.build((None, self.config.dim))
        super().build()

    @property
    def blocks(self) -> list[SasRecBlock]:
        """The blocks, the first one first."""
        return [getattr(self, f"block_{number}") for number in range(self.config.num_blocks)]

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layer of the item table."""
        return (self.items,)

    def embed(self, batch: Batch) -> Embedded:
        """Look up clicks and candidates."""
        clicks = batch[REC_ITEMS]
        candidates = batch.get(CANDIDATES, clicks[:, :0])
        items = self.items(clicks, candidates)
        clicks_at, candidates_at = items.positions
        return Embedded(
            rec=take(items.rows, clicks_at),
            rec_mask=clicks != PADDING_ID,
            candidates=take(items.rows, candidates_at),
            rows=(items.rows,),
        )

    def last_state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state of the newest click after all blocks, `[B, d]`."""
        mask = embedded.rec_mask
        states = self.positions(embedded.rec * self.config.dim**0.5)
        states = self.drop(tf.cast(states, self.compute_dtype), training=training)
        length = tf.shape(mask)[1]
        seen = (tf.range(length)[:, None] >= tf.range(length)[None, :])[None] & mask[:, None, :]
        for block in self.blocks:
            states = block(states, seen, training=training)
        last = self.norm(states[:, -1])
        return tf.where(tf.reduce_any(mask, 1)[:, None], last, tf.cast(self.newcomer, last.dtype))

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """Binary cross-entropy, section III.E."""
        state = self.last_state(embedded, training=True)
        logits = tf.linalg.matvec(tf.cast(embedded.candidates, state.dtype), state)
        loss = recommendation_loss(tf.cast(logits, self.variable_dtype), weights) * share.pairs
        return {"loss": loss, "rec_loss": loss}

    def encode(self, batch: Batch) -> State:
        """`state`, `[B, d]`, in the dtype of the weights."""
        state = self.last_state(self.embed({REC_ITEMS: batch[REC_ITEMS]}))
        return {"state": tf.cast(state, self.variable_dtype)}

    def prepare(self, items: tf.Tensor) -> PreparedItems:
        """Embeddings of items."""
        found = self.items(items)
        return PreparedItems(items, take(found.rows, found.positions[0]))

    def score(self, state: State, items: PreparedItems) -> tf.Tensor:
        """Inner products as logits `[B, C]`."""
        return tie_unknown(tf.linalg.matvec(items.embeddings, state["state"]), items.ids)

    @property
    def item_vectors(self) -> keras.Variable | None:
        """The item table: the model is an inner product already."""
        return self.items.table if self.config.retrieval else None

    def query(self, state: State) -> tf.Tensor:
        """The state, `[B, d]`."""
        return state["state"]
