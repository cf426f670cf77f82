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

    def reason(
        self, histories: Sides, noise: Sides | None = None, cross: bool = True, training: bool = False
    ) -> Sides:
        """K reasoning steps, Eq. (2) to (6): states `[B, N, K, d]` of each side; see `LatentCrossReasoning`."""
        return self.reasoning(histories, noise=noise, cross=cross, training=training)

    def rank(self, embedded: Embedded, histories: Sides, steps: Sides, training: bool = False) -> tf.Tensor:
        """Logits of the embedded candidates for each trajectory, Eq. (8) and (10): `[B, N, C]`."""
        (search, rec), candidates = histories, embedded.candidates
        wanted_search = self.search_attention(candidates, search.states, search.mask, steps.search)
        wanted_rec = self.rec_attention(candidates, rec.states, rec.mask, steps.rec)
        return self.head(embedded.user, wanted_search, wanted_rec, candidates, training=training)

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

    def score(self, encoded: dict[str, tf.Tensor], candidates: tf.Tensor) -> tf.Tensor:
        """Scores candidates `[B, C]` of encoded requests: logits `[B, C]`. Id 0 gets a logit of no meaning."""
        items = self.items(candidates)
        embeddings = take(items.rows, items.positions[0])
        search, rec = (
            attention(
                embeddings,
                encoded[f"{side}_states"],
                encoded[f"{side}_mask"] > 0,
                encoded[f"{side}_steps"][:, None],
            )
            for side, attention in (("search", self.search_attention), ("rec", self.rec_attention))
        )
        return self.head(encoded["user"], search, rec, embeddings)[:, 0]

    def call(self, batch: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of the batch's candidates, Eq. (1) to (10).

        They are equal to `score(encode(batch), batch["candidates"])`.
        """
        embedded = self.embed(batch)
        histories = self.read(embedded, training)
        return self.rank(embedded, histories, self.reason(histories, training=training), training)[:, 0]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, the tables excepted."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LcrSer":
        """A model from `get_config`."""
        return cls(**{**config, "config": ModelConfig(**config["config"])})
