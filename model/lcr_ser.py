"""LCR-SER, the ranking model of section 3.2."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from model.config import LcrSerConfig, SupervisedConfig
from model.contract import CANDIDATES, PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER
from model.layers.aggregation import TargetAttention
from model.layers.embeddings import EmbeddingTable, PositionEmbedding, take, take_mean
from model.layers.pooling import MeanPooling
from model.layers.reasoning import EncodedHistories, EncodedHistory, LatentCrossReasoning, Sides
from model.layers.retrieval import RetrievalHead
from model.layers.scoring_head import ScoringHead
from model.objectives.grpo import exploration_noise
from model.objectives.losses import contrastive_loss, recommendation_loss, retrieval_loss
from model.objectives.ties import tie_unknown
from model.ops.weighted_states import project
from model.ranker import WHOLE, Batch, Explanation, Logs, Ranker, Share, State


class Embedded(NamedTuple):
    """A batch after section 3.2.1, without positions.

    Attributes:
        user: e_u, `[B, d]`.
        search, rec: E_s and E_r, `[B, Ls, d]` and `[B, Lr, d]`.
        search_mask, rec_mask: True for a real event, `[B, Ls]` and `[B, Lr]`.
        candidates: e_v, `[B, C, d]`; C is 0 for a batch without candidates.
        places: what tells the candidates' items apart, `[B, C]`.
        rows: the distinct rows looked up in each table, `[U, d]` each; the padding row is zero.
    """

    user: tf.Tensor
    search: tf.Tensor
    rec: tf.Tensor
    search_mask: tf.Tensor
    rec_mask: tf.Tensor
    candidates: tf.Tensor
    places: tf.Tensor
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


class Side(NamedTuple):
    """What Eq. (8) weighs: H, `[B, L, d]`, its mask `[B, L]`, and h^(1) to h^(K), `[B, N, K, d]`."""

    states: tf.Tensor
    mask: tf.Tensor
    steps: tf.Tensor


class SideWeights(NamedTuple):
    """Weights that Eq. (8) gives one side, which sum to 1 where there is an event or a step.

    Attributes:
        events: of the history, `[B, L]`, the newest in the last column.
        steps: of the reasoning states, `[B, K]`.
    """

    events: tf.Tensor
    steps: tf.Tensor


class TargetWeights(NamedTuple):
    """Weights that Eq. (8) gives both sides."""

    search: SideWeights
    rec: SideWeights


@keras.saving.register_keras_serializable(package="lcr_ser")
class LcrSer(Ranker):
    """LCR-SER: logits of candidates given a user, their clicks and their searches.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables to share with another model; None makes new ones.

    Example:
        model = LcrSer(LcrSerConfig(num_users=100, num_items=1000, num_words=500))
        logits = model(batch)                                                 # `[B, C]`
        logits = model.score(model.encode(batch), model.prepare(candidates))  # the same, the history encoded once
    """

    inputs = (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)
    config_class: ClassVar[type[LcrSerConfig]] = LcrSerConfig
    config: LcrSerConfig

    def __init__(
        self,
        config: LcrSerConfig,
        tables: tuple[EmbeddingTable, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, **kwargs)
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
        self.retrieval: Any = RetrievalHead(dim, dtype=dtype, name="retrieval") if config.retrieval else None
        self.build()

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layers of the user, item and word tables."""
        return self.users, self.items, self.words

    def embed(self, batch: Batch) -> Embedded:
        """Look up a model batch, section 3.2.1 and E_s, E_r of 3.2.2.

        Args:
            batch: the model batch of `model.contract`; `candidates` may be absent.
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
            places=candidates_at,
            rows=(users.rows, items.rows, queries.rows),
        )

    def read(self, embedded: Embedded, training: bool = False) -> EncodedHistories:
        """Add positions and encode both histories, Eq. (1); give `EncodedHistories`."""
        return self.reasoning.encode(
            self.search_positions(embedded.search),
            embedded.search_mask,
            self.rec_positions(embedded.rec),
            embedded.rec_mask,
            training=training,
        )

    def reason(
        self, histories: EncodedHistories, noise: Sides | None = None, cross: bool = True, training: bool = False
    ) -> Sides:
        """K reasoning steps, Eq. (2) to (6): states `[B, N, K, d]` of each side; see `LatentCrossReasoning`."""
        return self.reasoning(histories, noise=noise, cross=cross, training=training)

    def contrast(self, histories: EncodedHistories, training: bool = False) -> tuple[Sides, Sides]:
        """States with and without cross attention, Eq. (9); see `LatentCrossReasoning.contrast`."""
        return self.reasoning.contrast(histories, training=training)

    def rank(self, embedded: Embedded, histories: EncodedHistories, steps: Sides, training: bool = False) -> tf.Tensor:
        """Logits of the embedded candidates for each trajectory, Eq. (8) and (10): `[B, N, C]`."""
        sides = [Side(history.states, history.mask, of_side) for history, of_side in zip(histories, steps, strict=True)]
        candidates = tf.cast(embedded.candidates, self.compute_dtype)
        return self._score(embedded.user, sides, candidates, self.head.of_items(candidates), training)

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """L_Total of Eq. (12) without L2 as `loss`; `rec_loss`, Eq. (11), and `tcl_loss`, Eq. (9)."""
        histories = self.read(embedded, training=True)
        contrasted = settings.tcl_weight and self.config.reasoning_steps
        if contrasted:
            steps, plain = self.contrast(histories, training=True)
        else:
            steps = self.reason(histories, training=True)
        logits = self.rank(embedded, histories, steps, training=True)[:, 0]
        loss = recommendation_loss(logits, weights) * share.pairs
        logs = {"rec_loss": loss}
        if contrasted:
            target = embedded.candidates[:, 0]
            if settings.tcl_stop_gradient in ("plain", "both"):
                plain = tf.nest.map_structure(tf.stop_gradient, plain)
            if settings.tcl_stop_gradient in ("target", "both"):
                target = tf.stop_gradient(target)
            # Both sides at once: the sum of their means.
            crossed, without = (tf.stack([side[:, 0, -1] for side in sides]) for sides in (steps, plain))
            of_sides = contrastive_loss(target, crossed, without, settings.tcl_margin, settings.tcl_distance)
            logs["tcl_loss"] = len(steps) * of_sides * share.rows
            loss += settings.tcl_weight * logs["tcl_loss"]
        if self.retrieval is not None:
            sides = [Side(history.states, history.mask, of) for history, of in zip(histories, steps, strict=True)]
            # Detached: the head learns from the model, and the model nothing from the head.
            user, candidates = tf.stop_gradient(embedded.user), tf.stop_gradient(embedded.candidates)
            query = self.retrieval(user, *(tf.stop_gradient(_last(side)) for side in sides))
            logs["retrieval_loss"] = retrieval_loss(query, candidates, embedded.places, weights) * share.rows
            loss += logs["retrieval_loss"]
        return {"loss": loss, **logs}

    @property
    def num_steps(self) -> int:
        """K."""
        return self.config.reasoning_steps

    @property
    def reasoning_variables(self) -> list[keras.Variable]:
        """The weights of encoders, cross attention and steps."""
        return self.reasoning.trainable_variables

    def noise(self, rows: tf.Tensor, trajectories: int, scale: float, seed: int, step: tf.Tensor) -> Sides:
        """Noise of a step for both sides, `[B, N, d]` each, Eq. (14)."""
        return Sides(
            *(
                exploration_noise(
                    rows, trajectories, self.config.dim, scale, tf.stack([tf.constant(seed + side, tf.int64), step])
                )
                for side in (1, 2)
            )
        )

    def target_weights(self, target: tf.Tensor, histories: EncodedHistories, steps: Sides) -> TargetWeights:
        """Weights of Eq. (8) on history and reasoning states; all the same where the aggregation is the mean.

        Args:
            target: embeddings of the items clicked, `[B, d]`.
            histories: what `read` gave.
            steps: what `reason` gave for them, of one trajectory.
        """
        found = []
        for attention, history, of_side in zip(
            (self.search_attention, self.rec_attention), histories, steps, strict=True
        ):
            weighted = attention.weigh(target[:, None], history.states, history.mask, of_side)
            found.append(SideWeights(weighted.weights[:, 0, 0], weighted.step_weights[:, 0, 0]))
        return TargetWeights(*found)

    def search_weights(self, batch: Batch, label: tf.Tensor) -> tf.Tensor:
        """Weight that Eq. (8) gives each search for the candidate in column `label` `[B]`: `[B, Ls]`."""
        embedded = self.embed(batch)
        histories = self.read(embedded)
        target = tf.gather(embedded.candidates, label, batch_dims=1)
        return self.target_weights(target, histories, self.reason(histories)).search.events

    def explain(self, batch: Batch, items: tf.Tensor) -> Explanation:
        """What Eq. (8) weighed for items, and how near the states came to them.

        Attention is a claim. docs/experiments/explanations.md holds it against what the score loses without an event
        (`model.inspection.leave_one_out`), and both against the truth of a simulated log, where attention is better.

        Args:
            batch: the model batch without `candidates`.
            items: ids, `[B]`.
        """
        embedded = self.embed({**{name: batch[name] for name in self.inputs}, CANDIDATES: items[:, None]})
        histories = self.read(embedded)
        steps = self.reason(histories)
        weights = self.target_weights(tf.cast(embedded.candidates[:, 0], self.compute_dtype), histories, steps)
        search, rec = (tf.cast(side.events, self.variable_dtype) for side in (weights.search, weights.rec))
        both = tf.reduce_sum(search, 1, keepdims=True) + tf.reduce_sum(rec, 1, keepdims=True)

        def nearness(history: EncodedHistory, of_side: tf.Tensor) -> tf.Tensor:
            states = of_side[:, 0]
            if history.start is not None:
                states = tf.concat([history.start[:, None], states], 1)
            target = tf.math.l2_normalize(tf.cast(embedded.candidates[:, 0], states.dtype), 1)
            return tf.cast(tf.linalg.matvec(tf.math.l2_normalize(states, 2), target), self.variable_dtype)

        of_search, of_rec = (nearness(*side) for side in zip(histories, steps, strict=True))
        score = self.rank(embedded, histories, steps)[:, 0, 0]
        return Explanation(
            score, tf.math.divide_no_nan(rec, both), tf.math.divide_no_nan(search, both), of_rec, of_search
        )

    def encode(self, batch: Batch) -> State:
        """The half of a request that does not depend on its candidates.

        Args:
            batch: the model batch of `model.contract` without `candidates`.

        Returns:
            In the dtype of the weights: `user [B, d]`, `search_states [B, Ls, d]`, `search_mask [B, Ls]`,
            `search_steps [B, K, d]` and the same three of `rec` with Lr. A mask is 1 for a real event.
        """
        embedded = self.embed({name: batch[name] for name in self.inputs})
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

    def score(self, state: State, items: PreparedItems) -> tf.Tensor:
        """Logits `[B, C]` of prepared items for encoded requests."""
        logits = self._score(state["user"], self._sides(state), items.embeddings, items.of_head)
        return tie_unknown(tf.squeeze(logits, 1), items.ids)

    def _sides(self, state: State) -> list[Side]:
        return [
            Side(state[f"{side}_states"], state[f"{side}_mask"] > 0, tf.expand_dims(state[f"{side}_steps"], 1))
            for side in Sides._fields
        ]

    @property
    def item_vectors(self) -> keras.Variable | None:
        """The item table, whose rows a `query` is multiplied with; None where the model does not retrieve."""
        return self.items.table if self.retrieval is not None else None

    def query(self, state: State) -> tf.Tensor:
        """A vector for each encoded request, `[B, d]`: its inner products with `item_vectors` find candidates."""
        user = tf.cast(state["user"], self.compute_dtype)
        return tf.cast(self.retrieval(user, *map(_last, self._sides(state))), self.variable_dtype)

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of the batch's candidates, Eq. (1) to (10).

        They are equal to `score(encode(batch), prepare(batch["candidates"]))`.
        """
        embedded = self.embed(batch)
        histories = self.read(embedded, training)
        logits = self.rank(embedded, histories, self.reason(histories, training=training), training)
        return tie_unknown(logits[:, 0], batch[CANDIDATES])

    def _score(
        self, user: tf.Tensor, sides: Sequence[Side], candidates: tf.Tensor, of_head: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Eq. (8) and (10): logits `[B, N, C]` from states, mask and steps of each side."""
        weighted = [
            attention.weigh(
                candidates,
                tf.cast(side.states, self.compute_dtype),
                side.mask,
                tf.cast(side.steps, self.compute_dtype),
            )
            for attention, side in zip((self.search_attention, self.rec_attention), sides, strict=True)
        ]
        of_users = self.head.of_users(tf.cast(user, self.compute_dtype))
        of_requests = project(weighted, self.head.parts()[1:3], of_users)
        return self.head.score(of_requests, of_head, training)


def _last(side: Side) -> tf.Tensor:
    """What the reasoning came to, h^(K), `[B, d]`; the mean of the events' states if K is 0."""
    if side.steps.shape[2]:
        return side.steps[:, 0, -1]
    real = tf.cast(side.mask, side.states.dtype)
    return tf.linalg.matvec(side.states, real, transpose_a=True) / tf.maximum(tf.reduce_sum(real, 1, keepdims=True), 1)
