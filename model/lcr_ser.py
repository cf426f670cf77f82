"""LCR-SER, the ranking model of section 3.2."""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.aggregation import TargetAttention
from model.config import ModelConfig
from model.embeddings import EmbeddingTable, PositionEmbedding, take, take_mean
from model.inputs import CANDIDATES, PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER
from model.pooling import MeanPooling
from model.reasoning import LatentCrossReasoning, Sides
from model.scoring_head import ScoringHead
from model.ties import tie_unknown
from model.weighted_states import project


class Embedded(NamedTuple):
    """A batch after section 3.2.1, without positions.

    Attributes:
        user: e_u, `[B, d]`.
        search, rec: E_s and E_r, `[B, Ls, d]` and `[B, Lr, d]`.
        search_mask, rec_mask: True for a real event, `[B, Ls]` and `[B, Lr]`.
        candidates: e_v, `[B, C, d]`; C is 0 for a batch without candidates.
        rows: the distinct rows looked up in each table, `[U, d]` each; the padding row is zero.
    """

    user: tf.Tensor
    search: tf.Tensor
    rec: tf.Tensor
    search_mask: tf.Tensor
    rec_mask: tf.Tensor
    candidates: tf.Tensor
    rows: tuple[tf.Tensor, ...]


class PreparedItems(NamedTuple):
    """What scoring needs of items.

    Attributes:
        ids: of the items, `[...]`.
        embeddings: e_v, `[..., d]`.
        of_head: their part of the head's first layer, `[..., m]`.
    """

    ids: tf.Tensor
    embeddings: tf.Tensor
    of_head: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class LcrSer(keras.Model):
    """LCR-SER: logits of candidates given a user, their clicks and their searches.

    All variables exist after construction, so that weights can be restored before any data is seen.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables to share with another model; None makes new ones.

    Example:
        model = LcrSer(ModelConfig(num_users=100, num_items=1000, num_words=500))
        logits = model(batch)                                  # `[B, C]`
        logits = model.score(model.encode(batch), candidates)  # the same, the history encoded once
    """

    def __init__(
        self,
        config: ModelConfig,
        tables: tuple[EmbeddingTable, EmbeddingTable, EmbeddingTable] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        dim, dtype = config.dim, self.dtype_policy
        if tables is None:
            tables = (
                EmbeddingTable(config.num_users, dim, dtype=dtype, name="users"),
                EmbeddingTable(config.num_items, dim, dtype=dtype, name="items"),
                EmbeddingTable(config.num_words, dim, dtype=dtype, name="words"),
            )
        self.users, self.items, self.words = tables
        self.search_positions = PositionEmbedding(config.search_length, dim, dtype=dtype, name="search_positions")
        self.rec_positions = PositionEmbedding(config.rec_length, dim, dtype=dtype, name="rec_positions")
        self.reasoning = LatentCrossReasoning(
            dim,
            config.num_heads,
            config.dropout,
            config.post_norm,
            num_steps=config.reasoning_steps,
            literal_eq5=config.literal_eq5,
            dtype=dtype,
        )
        aggregation = TargetAttention if config.aggregation == "target" else MeanPooling
        self.search_attention = aggregation(dim, dtype=dtype, name="search_attention")
        self.rec_attention = aggregation(dim, dtype=dtype, name="rec_attention")
        self.head = ScoringHead(dim, config.mlp_units, config.dropout, dtype=dtype)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates every variable."""
        for layer in self.layers:
            if not layer.built:
                layer.build(None)
        self.built = True

    @property
    def tables(self) -> tuple[EmbeddingTable, EmbeddingTable, EmbeddingTable]:
        """The layers of the user, item and word tables."""
        return self.users, self.items, self.words

    @property
    def dense_variables(self) -> list[keras.Variable]:
        """All trainable variables but the three tables."""
        of_tables = {id(layer.table) for layer in self.tables}
        return [variable for variable in self.trainable_variables if id(variable) not in of_tables]

    def embed(self, batch: dict[str, tf.Tensor]) -> Embedded:
        """Looks up a model batch, section 3.2.1 and E_s, E_r of 3.2.2.

        Args:
            batch: the model batch of `model.inputs`; `candidates` may be absent.
        """
        rec_items, clicks, words = batch[REC_ITEMS], batch[SEARCH_ITEMS], batch[SEARCH_WORDS]
        candidates = batch.get(CANDIDATES, batch[USER][:, None][:, :0])
        users = self.users(batch[USER])
        items = self.items(rec_items, clicks, candidates)
        queries = self.words(words)
        rec_at, clicks_at, candidates_at = items.positions
        search = take_mean(queries.rows, queries.positions[0], words) + take_mean(items.rows, clicks_at, clicks)
        has_words, has_clicks = (tf.reduce_any(ids != PADDING_ID, 2) for ids in (words, clicks))
        return Embedded(
            user=take(users.rows, users.positions[0]),
            search=search,
            rec=take(items.rows, rec_at),
            search_mask=has_words | has_clicks,
            rec_mask=rec_items != PADDING_ID,
            candidates=take(items.rows, candidates_at),
            rows=(users.rows, items.rows, queries.rows),
        )

    def read(self, embedded: Embedded, training: bool = False) -> Sides:
        """Adds positions and encodes both histories, Eq. (1); gives two `EncodedHistory`."""
        return self.reasoning.encode(
            self.search_positions(embedded.search),
            embedded.search_mask,
            self.rec_positions(embedded.rec),
            embedded.rec_mask,
            training=training,
        )

    def reason(self, histories: Sides, noise: Sides | None = None, cross: bool = True, training: bool = False) -> Sides:
        """K reasoning steps, Eq. (2) to (6): states `[B, N, K, d]` of each side; see `LatentCrossReasoning`."""
        return self.reasoning(histories, noise=noise, cross=cross, training=training)

    def contrast(self, histories: Sides, training: bool = False) -> tuple[Sides, Sides]:
        """States with and without cross attention, Eq. (9); see `LatentCrossReasoning.contrast`."""
        return self.reasoning.contrast(histories, training=training)

    def rank(self, embedded: Embedded, histories: Sides, steps: Sides, training: bool = False) -> tf.Tensor:
        """Logits of the embedded candidates for each trajectory, Eq. (8) and (10): `[B, N, C]`."""
        sides = Sides(
            *((history.states, history.mask, of_side) for history, of_side in zip(histories, steps, strict=True))
        )
        candidates = tf.cast(embedded.candidates, self.compute_dtype)
        return self._score(embedded.user, sides, candidates, self.head.of_items(candidates), training)

    def encode(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The half of a request that does not depend on its candidates.

        Args:
            batch: the model batch of `model.inputs` without `candidates`.

        Returns:
            In the dtype of the weights: `user [B, d]`, `search_states [B, Ls, d]`, `search_mask [B, Ls]`,
            `search_steps [B, K, d]` and the same three of `rec` with Lr. A mask is 1 for a real event.
        """
        embedded = self.embed({name: batch[name] for name in (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)})
        histories = self.read(embedded)
        steps = self.reason(histories)
        encoded = {
            "user": embedded.user,
            "search_states": histories.search.states,
            "search_mask": histories.search.mask,
            "search_steps": steps.search[:, 0],
            "rec_states": histories.rec.states,
            "rec_mask": histories.rec.mask,
            "rec_steps": steps.rec[:, 0],
        }
        return {name: tf.cast(value, self.variable_dtype) for name, value in encoded.items()}

    def prepare(self, items: tf.Tensor) -> PreparedItems:
        """What scoring needs of items `[...]`, whoever asks: done once an item when many requests share it."""
        found = self.items(items)
        embeddings = tf.cast(take(found.rows, found.positions[0]), self.compute_dtype)
        return PreparedItems(items, embeddings, self.head.of_items(embeddings))

    def score(self, encoded: dict[str, tf.Tensor], candidates: tf.Tensor | PreparedItems) -> tf.Tensor:
        """Scores candidates of encoded requests.

        Args:
            encoded: what `encode` gave.
            candidates: ids `[B, C]`, or what `prepare` gave for them, `[B, C, ...]`.

        Returns:
            Logits `[B, C]`. Id 0 gets a logit of no meaning.
        """
        items = candidates if isinstance(candidates, PreparedItems) else self.prepare(candidates)
        sides = Sides(
            *(
                (encoded[f"{side}_states"], encoded[f"{side}_mask"] > 0, tf.expand_dims(encoded[f"{side}_steps"], 1))
                for side in Sides._fields
            )
        )
        logits = self._score(encoded["user"], sides, items.embeddings, items.of_head)
        return tie_unknown(tf.squeeze(logits, 1), items.ids)

    def call(self, batch: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of the batch's candidates, Eq. (1) to (10).

        They are equal to `score(encode(batch), batch["candidates"])`.
        """
        embedded = self.embed(batch)
        histories = self.read(embedded, training)
        logits = self.rank(embedded, histories, self.reason(histories, training=training), training)
        return tie_unknown(logits[:, 0], batch[CANDIDATES])

    def _score(
        self, user: tf.Tensor, sides: Sides, candidates: tf.Tensor, of_head: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Eq. (8) and (10): logits `[B, N, C]` from states, mask and steps of each side."""
        weighted = [
            attention.weigh(
                candidates, *(tf.cast(part, self.compute_dtype) if part.dtype != tf.bool else part for part in side)
            )
            for attention, side in zip((self.search_attention, self.rec_attention), sides, strict=True)
        ]
        of_users = self.head.of_users(tf.cast(user, self.compute_dtype))
        of_requests = project(weighted, self.head.parts()[1:3], of_users)
        return self.head.score(of_requests, of_head, training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, the tables excepted."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LcrSer":
        """A model from `get_config`."""
        return cls(**{**config, "config": ModelConfig(**config["config"])})
