"""BERT4Rec: a bidirectional Transformer that fills in masked clicks (Sun et al., CIKM 2019)."""

import dataclasses
import math
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.config import SupervisedConfig, at_least
from model.layers.augmentations import NEGLIGIBLE, of_length
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.transformer import TransformerEncoder
from model.objectives.softmax import catalogue_loss
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.normalization import Normalization
from model.ops.seeds import next_seed
from model.ranker import WHOLE, Logs, Share

EPSILON = 1e-12
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class Bert4RecConfig(EncoderConfig):
    """Shape of BERT4Rec, with the authors' defaults where they do not depend on the data; see `EncoderConfig`.

    Attributes:
        loss: cross-entropy alone.
        hidden_units: of the feed-forward networks; 0 is 4 d.
        mask_rate: rho, the share of a sequence that is masked: of n clicks round(rho n), at least one.
        last_rate: how often the newest click alone is masked instead, as a request asks.
    """

    allowed_losses: ClassVar[tuple[str, ...]] = ("softmax",)
    kind: Literal["bert4rec"] = "bert4rec"
    loss: Literal["softmax"] = "softmax"
    num_heads: int = 2
    dropout: float = 0.2
    mask_rate: float = 0.2
    last_rate: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "mask_rate", "last_rate")
        for name in ("mask_rate", "last_rate"):
            if getattr(self, name) > 1:
                raise ValueError(f"`{name}` should be at most 1. Received: {getattr(self, name)}.")

    def encoder_options(self) -> dict[str, Any]:
        """With feed-forward networks of 4 d."""
        return {**super().encoder_options(), "hidden_units": self.hidden_units or 4 * self.dim}

    def masked(self, clicks: int) -> int:
        """How many of so many clicks are masked."""
        return min(clicks, max(1, math.floor(self.mask_rate * clicks + 0.5 + NEGLIGIBLE)))


@keras.saving.register_keras_serializable(package="lcr_ser")
class Bert4Rec(SequenceRanker):
    """BERT4Rec: every place of a sequence looks at every other one, and what is masked is told from both sides.

    The paper's sections 3.3 (post-norm layers, GELU), 3.4 (items and learned positions, normalised and dropped out as
    in the authors' code), 3.5 (output: a layer with GELU and a normalisation, the item table, a bias for each item,
    Eq. 7) and 3.6 (cloze: cross-entropy of the masked places alone, Eq. 8; a request appends [MASK] and reads its
    state). A bias is the last column of its item's row in the table, so that a model that goes on with another
    vocabulary moves it with its item, the first of two stages knows it, and a step touches those that it looks up.

    Departures: a training row is one clicked item with the history before it, which together are the sequence, so that
    the clicks of a user are seen as often as they are in a history; losses are averaged within a row, then over rows;
    `last_rate` is that of RecBole since its RecBole#1530: without it the newest place, which every request asks for,
    is masked as seldom as any other; of a catalogue beyond `full_softmax_items` the negatives of the batch are a
    sample; Adam without warm-up and weight decay, but the stage's own L2, which a bias is part of. Positions count
    from the newest click back. A user without a click has a learned state. The authors' number of steps by default
    leaves the model undertrained (Petrov and Macdonald, RecSys 2022): it needs many more epochs than others.

    Args:
        config: the model's shape.
        tables: the layer of the item table, `[num_items, d + 1]`, to share with another model; None makes a new one.
    """

    config_class = Bert4RecConfig
    config: Bert4RecConfig

    def __init__(self, config: Bert4RecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        dtype = kwargs.get("dtype") or keras.config.dtype_policy()
        items = tables or (EmbeddingTable(config.num_items, config.dim + 1, dtype=dtype, name="items"),)
        super().__init__(config, items, **kwargs)
        dtype = self.dtype_policy
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(config.dim,),
            initializer=keras.initializers.RandomNormal(stddev=config.dim**-0.5),
            autocast=False,
        )
        self.positions = PositionEmbedding(config.rec_length, config.dim, dtype=dtype)
        self.norm = Normalization(EPSILON, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.encoder = TransformerEncoder(**config.encoder_options(), epsilon=EPSILON, dtype=dtype)
        self.output_hidden = Linear(config.dim, activation="gelu", dtype=dtype)
        self.output_norm = Normalization(EPSILON, dtype=dtype)
        for layer in (self.norm, self.output_hidden, self.output_norm):
            layer.build((None, None, config.dim))
        self.mask_seeds = keras.random.SeedGenerator()
        self.build()
        if tables is None:  # the biases begin at 0
            of_items = tf.constant([1.0] * config.dim + [0.0])
            self.items.table.assign(self.items.table * of_items)

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The output of a [MASK] behind the clicks, `[B, d]`; of a full history the oldest click makes room for it."""
        rows = tf.shape(embedded.rec)[0]
        events = tf.concat([self.vectors(embedded.rec), tf.tile(self.mask_token[None, None], [rows, 1, 1])], 1)
        real = tf.pad(embedded.rec_mask, [[0, 0], [0, 1]], constant_values=True)
        return self.outputs(self.states(self.newest(events), self.newest(real), training)[:, -1])

    def known_or_new(self, state: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """With a last coordinate of 1, `[B, ..., d + 1]`: the inner product with an item's row adds its bias."""
        state = super().known_or_new(state, mask)
        return tf.concat([state, tf.ones_like(state[..., :1])], -1)

    def vectors(self, rows: tf.Tensor) -> tf.Tensor:
        """Embeddings of rows `[..., d + 1]`, without the bias."""
        return rows[..., : self.config.dim]

    def newest(self, events: tf.Tensor) -> tf.Tensor:
        """At most Lr places of events `[B, L, ...]`."""
        return events[:, -self.config.rec_length :]

    def states(self, events: tf.Tensor, real: tf.Tensor, training: bool) -> tf.Tensor:
        """States of events `[B, L, d]` that look at all that are real `[B, L]`."""
        states = tf.cast(self.norm(self.positions(events)), self.compute_dtype)
        everywhere = tf.repeat(real[:, None, :], real.shape[1], 1)
        return self.encoder(self.drop(states, training=training), everywhere, training=training)

    def outputs(self, states: tf.Tensor) -> tf.Tensor:
        """What items are compared with: states `[..., d]` give `[..., d]`, Eq. (7)."""
        return self.output_norm(self.output_hidden(states))

    def draw_masks(self, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Places to mask.

        Args:
            real: True for a click, bool `[B, L]`; False first, the last one is True.

        Returns:
            Places, int32 `[B, P]`, P being the most that can be; and whether each is one, bool `[B, P]`.
        """
        length = real.shape[1]
        noise = tf.random.stateless_uniform([tf.shape(real)[0], length + 1], next_seed(self.mask_seeds))
        last_alone, noise = noise[:, :1] < self.config.last_rate, noise[:, 1:]
        first = last_alone & (tf.range(length)[None] == length - 1)
        order = tf.argsort(tf.where(first, -1.0, tf.where(real, noise, 2.0)), 1, stable=True)
        clicks = tf.reduce_sum(tf.cast(real, tf.int32), 1, keepdims=True)
        count = tf.where(last_alone, 1, tf.gather(of_length(length, self.config.masked), clicks))
        most = self.config.masked(length)
        return order[:, :most], tf.range(most)[None] < count

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """Cross-entropy of the masked clicks of history and target, the mean of each row's mean, Eq. (8)."""
        ids = self.newest(tf.concat([embedded.rec_ids, embedded.candidate_ids[:, :1]], 1))
        rows = self.newest(tf.concat([embedded.rec, embedded.candidates[:, :1]], 1))
        real = self.newest(tf.pad(embedded.rec_mask, [[0, 0], [0, 1]], constant_values=True))
        places, masked = self.draw_masks(real)
        hidden = tf.reduce_any((places[:, :, None] == tf.range(real.shape[1])) & masked[:, :, None], 1)
        events = tf.where(hidden[:, :, None], self.mask_token, self.vectors(rows))
        states = self.states(events, real, training=True)
        states = self.known_or_new(self.outputs(tf.gather(states, places, batch_dims=1)), embedded.rec_mask)
        states = tf.reshape(states, [-1, self.config.dim + 1])
        targets = tf.reshape(tf.gather(ids, places, batch_dims=1), [-1])
        if self.config.whole_catalogue:
            logits = tf.matmul(states, embedded.catalogue, transpose_b=True) / self.config.temperature
            losses = catalogue_loss(logits, targets, settings.unknown_rate)
        else:
            vectors = tf.reshape(tf.gather(rows, places, batch_dims=1), [-1, self.config.dim + 1])
            negatives = self.shared_negatives(embedded, weights)
            losses = self.sampled_losses(
                states, targets, vectors, settings, negatives=negatives, temperature=self.config.temperature
            )
        counts = tf.cast(masked, losses.dtype)
        # What is drawn beyond a row's count, padding among it, has no loss.
        of_rows = tf.reduce_sum(tf.where(masked, tf.reshape(losses, tf.shape(masked)), 0.0), 1)
        loss = tf.reduce_mean(of_rows / tf.reduce_sum(counts, 1)) * share.rows
        return {"loss": loss, "rec_loss": loss}
