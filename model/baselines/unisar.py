"""UniSAR: what searches lead to among clicks and the other way round (Shi et al., SIGIR 2024)."""

import dataclasses
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from model.baselines.searching import Embedded, JointConfig, JointRanker
from model.config import SupervisedConfig, at_least
from model.contract import REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from model.layers.aggregation import TargetAttention
from model.layers.contrast import HistoryContrast, QueryItemContrast
from model.layers.embeddings import EmbeddingTable, PositionEmbedding, take
from model.layers.merged_history import merge
from model.layers.mlp import Mlp
from model.layers.progressive_experts import ProgressiveExperts
from model.layers.transformer import TransformerDecoderBlock, TransformerEncoder
from model.ranker import WHOLE, Logs, Share, State

EPSILON = 1e-5
"""Of layer normalisation, as in the authors' code."""
TASKS = ("rec", "search")


@dataclasses.dataclass(frozen=True)
class UniSarConfig(JointConfig):
    """Shape of UniSAR, with the authors' settings for KuaiSAR.

    Attributes:
        num_blocks: blocks of each of the three encoders and of each of the two decoders.
        specific_experts, shared_experts: experts of each task, and of both.
        expert_units: width of an expert.
        tower_units: widths of each task's tower.
        mlp_units: hidden widths of each task's scoring head.
        alignment_weight: of the contrast of queries and items; 0 leaves it out.
        alignment_temperature: of it, at first.
        history_weight: of the contrast of what the two encoders say of a history; 0 leaves it out.
        history_temperature: of it, at first.
    """

    kind: Literal["unisar"] = "unisar"
    num_blocks: int = 1
    specific_experts: int = 4
    shared_experts: int = 4
    expert_units: int = 64
    tower_units: tuple[int, ...] = (128, 64)
    mlp_units: tuple[int, ...] = (200, 80)
    alignment_weight: float = 0.001
    alignment_temperature: float = 0.5
    history_weight: float = 0.1
    history_temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tower_units", tuple(self.tower_units))
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        at_least(self, 1, "num_blocks", "specific_experts", "shared_experts", "expert_units")
        at_least(self, 0, "alignment_weight", "history_weight")
        at_least(self, 1e-3, "alignment_temperature", "history_temperature")
        if not self.tower_units:
            raise ValueError("`tower_units` should hold a width. Received: none.")


class Transitions(NamedTuple):
    """What each event becomes when it looks at events of one kind alone.

    Attributes:
        search_to_rec, rec_to_rec: of clicks that look at searches, and at clicks, `[B, Lr, d]`.
        rec_to_search, search_to_search: of searches that look at clicks, and at searches, `[B, Ls, d]`.
        rec_mask, search_mask: True for a real event, `[B, Lr]` and `[B, Ls]`.
        both: True for a row with a click and a search, `[B]`: elsewhere no event had one of the other kind to look at,
            and `search_to_rec` and `rec_to_search` mean nothing.
    """

    search_to_rec: tf.Tensor
    rec_to_rec: tf.Tensor
    rec_to_search: tf.Tensor
    search_to_search: tf.Tensor
    rec_mask: tf.Tensor
    search_mask: tf.Tensor
    both: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class UniSar(JointRanker):
    """UniSAR: four transitions between clicks and searches, extracted, aligned and fused.

    The paper's steps, and where they are:

    - Extraction (`transitions`). A click is its item, a search the sum of its query and the mean of the items clicked
      in it. Both histories are merged in time, and a Transformer over them forbids each event to look at its own kind:
      what it makes of clicks is the transition from search to recommendation, of searches the one back. The other two
      transitions are those of a Transformer over each history alone.
    - Alignment (`_contrasts`). InfoNCE between the mean of what clicks become by searches and the mean of what they
      become by clicks, and the same for searches; and InfoNCE between queries and the items clicked for them.
    - Fusion (`read`). A Transformer's decoder for each kind: its events, by their own kind, attend to the same events
      by the other kind.
    - Prediction (`rank`). Bilinear attention of the candidate to both fused histories; these two interests, the item,
      the user and the query, which is a learned vector for recommendations, go through one level of PLE with a task
      for clicks and one for searches, and through the task's MLP.
    - Joint learning (`losses`, `search_losses`). Binary cross-entropy with n negatives and both contrasts; a batch of
      searches adds the same, times `search_weight`.

    Departures:

    - users, items and words are rows of one table each, `dim` wide, as in every model here; the authors join
      features of an item and project them with tanh;
    - the bilinear attention has the root of d below its scores (`TargetAttention` says why);
    - the negatives of queries and items are those of the batch, one for each of its rows, instead of a list of all of
      them that is walked through 1,024 a step; an item of a search is the mean of those clicked in it;
    - temperatures are learned as logarithms, so that they stay above 0;
    - positions count from the newest event back;
    - feed-forward networks have dropout on their outputs alone.

    Defects of the official code that are not here: a user without clicks or without searches gives NaN. Here an event
    with nothing of the other kind to look at is left out of contrasts, and its fusion adds nothing; an interest in
    an empty history is 0. A third decoder that nothing uses is left out.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables to share with another model; None makes new ones.
    """

    inputs = (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS, REC_TIMES, SEARCH_TIMES)
    config_class = UniSarConfig
    config: UniSarConfig

    def __init__(self, config: UniSarConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dim, dropout, dtype = config.dim, config.dropout, self.dtype_policy
        self.rec_positions = PositionEmbedding(config.rec_length, dim, dtype=dtype)
        self.search_positions = PositionEmbedding(config.search_length, dim, dtype=dtype)
        self.merged_positions = PositionEmbedding(config.rec_length + config.search_length, dim, dtype=dtype)
        for name in ("merged", *TASKS):
            encoder = TransformerEncoder(
                config.num_blocks, dim, config.num_heads, dropout, norm="post", epsilon=EPSILON, dtype=dtype
            )
            setattr(self, f"{name}_encoder", encoder)
        for name in TASKS:
            for number in range(config.num_blocks):  # TensorFlow does not save what is in a list of Keras
                decoder = TransformerDecoderBlock(
                    dim, config.num_heads, dropout, norm="post", epsilon=EPSILON, dtype=dtype
                )
                setattr(self, f"{name}_decoder_{number}", decoder)
            setattr(self, f"{name}_attention", TargetAttention(dim, dtype=dtype))
            setattr(self, f"{name}_head", Mlp(config.tower_units[-1], config.mlp_units, dropout, logit=True))
        self.experts = ProgressiveExperts(
            5 * dim,
            len(TASKS),
            specific=config.specific_experts,
            shared=config.shared_experts,
            units=config.expert_units,
            tower_units=config.tower_units,
            dropout=dropout,
            dtype=dtype,
        )
        self.rec_query = self.add_weight(name="rec_query", shape=(dim,), initializer="glorot_normal")
        if config.alignment_weight:
            self.alignment = QueryItemContrast(dim, config.alignment_temperature)
        if config.history_weight:
            self.rec_contrast = HistoryContrast(dim, config.history_temperature)
            self.search_contrast = HistoryContrast(dim, config.history_temperature)
        self.build()

    def transitions(self, embedded: Embedded, training: bool = False) -> Transitions:
        """The extraction."""
        rec, searches = embedded.rec, embedded.searches
        rec_mask, search_mask = embedded.rec_mask, embedded.search_mask
        events, length = tf.concat([rec, searches], 1), rec.shape[1]
        # A Transformer does not mind in what order its places stand: each event keeps its column, and gets the
        # position that it has in the merged sequence.
        merged = merge(embedded.rec_times, embedded.search_times, rec_mask, search_mask)
        positions = tf.cast(self.merged_positions(tf.zeros([1, events.shape[1], self.config.dim]))[0], events.dtype)
        crossed = self._encode(
            "merged", events + take(positions, merged.places), other_kind(rec_mask, search_mask), training
        )
        return Transitions(
            search_to_rec=crossed[:, :length],
            rec_to_rec=self._encode("rec", self.rec_positions(rec), rec_mask[:, None], training),
            rec_to_search=crossed[:, length:],
            search_to_search=self._encode("search", self.search_positions(searches), search_mask[:, None], training),
            rec_mask=rec_mask,
            search_mask=search_mask,
            both=tf.reduce_any(rec_mask, 1) & tf.reduce_any(search_mask, 1),
        )

    def _encode(self, name: str, events: tf.Tensor, mask: tf.Tensor, training: bool) -> tf.Tensor:
        return getattr(self, f"{name}_encoder")(tf.cast(events, self.compute_dtype), mask, training=training)

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """Both fused histories and their masks, the user, and of a search to be answered its query."""
        return self._fuse(embedded, self.transitions(embedded, training), training)

    def _fuse(self, embedded: Embedded, found: Transitions, training: bool) -> State:
        rec_mask, search_mask = found.rec_mask[:, None], found.search_mask[:, None]
        rec, searches, both = found.rec_to_rec, found.search_to_search, found.both[:, None, None]
        for number in range(self.config.num_blocks):
            decoders = (getattr(self, f"{name}_decoder_{number}") for name in TASKS)
            of_rec, of_search = decoders
            rec = of_rec(rec, rec_mask, found.search_to_rec, rec_mask & both, training=training)
            searches = of_search(searches, search_mask, found.rec_to_search, search_mask & both, training=training)
        state = {
            "user": embedded.user,
            "rec": rec,
            "search": searches,
            "rec_mask": tf.cast(found.rec_mask, rec.dtype),
            "search_mask": tf.cast(found.search_mask, searches.dtype),
        }
        return state if embedded.query is None else {**state, "query": embedded.query}

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]`: of the task for searches where the state holds a query."""
        task = TASKS[int("query" in state)]
        candidates = tf.cast(candidates, self.compute_dtype)
        interests = [
            getattr(self, f"{name}_attention").of_history(
                candidates, tf.cast(state[name], self.compute_dtype), state[f"{name}_mask"] > 0
            )
            for name in TASKS
        ]
        shape = tf.shape(interests[0])
        query = state["query"][:, None] if task == "search" else self.rec_query[None, None]
        others = [candidates, state["user"][:, None], query]
        values = tf.concat(
            [*interests, *(tf.broadcast_to(tf.cast(one, self.compute_dtype), shape) for one in others)], 2
        )
        values = self.experts(values, task=TASKS.index(task), training=training)
        return getattr(self, f"{task}_head")(values, training=training)

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """`rec_loss`, `alignment_loss` and `history_loss`, and their weighted sum as `loss`."""
        return self._joint_losses(embedded, weights, share, "rec_loss", "")

    def search_losses(
        self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE
    ) -> Logs:
        """`answer_loss`, and the contrasts of the searches' own histories."""
        return self._joint_losses(embedded, weights, share, "answer_loss", "search_")

    def _joint_losses(self, embedded: Embedded, weights: tf.Tensor, share: Share, name: str, prefix: str) -> Logs:
        found = self.transitions(embedded, training=True)
        logs = {name: self.pair_loss(self._fuse(embedded, found, True), embedded, weights, share)}
        loss = logs[name]
        for part, weight, value in self._contrasts(embedded, found):
            logs[f"{prefix}{part}_loss"] = value * share.rows
            loss += weight * value * share.rows
        return {**logs, "loss": loss}

    def _contrasts(self, embedded: Embedded, found: Transitions) -> list[tuple[str, float, tf.Tensor]]:
        """Name, weight and value of the contrasts that the config asks for."""
        config, contrasts = self.config, []
        if config.alignment_weight:
            value = self.alignment(embedded.queries, embedded.clicked)
            contrasts.append(("alignment", config.alignment_weight, value))
        if config.history_weight:
            value = self.rec_contrast(
                _mean(found.search_to_rec, found.rec_mask), _mean(found.rec_to_rec, found.rec_mask), found.both
            )
            value += self.search_contrast(
                _mean(found.rec_to_search, found.search_mask),
                _mean(found.search_to_search, found.search_mask),
                found.both,
            )
            contrasts.append(("history", config.history_weight, value))
        return contrasts


def other_kind(rec_mask: tf.Tensor, search_mask: tf.Tensor) -> tf.Tensor:
    """What each event may look at if it sees real events of the other kind alone.

    Args:
        rec_mask, search_mask: True for a real event, `[B, Lr]` and `[B, Ls]`.

    Returns:
        bool `[B, Lr + Ls, Lr + Ls]`, clicks before searches on both axes.
    """
    is_search = tf.concat([tf.zeros_like(rec_mask[0]), tf.ones_like(search_mask[0])], 0)
    mask = tf.concat([rec_mask, search_mask], 1)
    return (is_search[:, None] != is_search[None])[None] & mask[:, None]


def _mean(states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean of the states `[B, L, d]` of real events, `[B, d]`; 0 where there is none."""
    weights = tf.cast(mask, states.dtype)[:, :, None]
    return tf.reduce_sum(states * weights, 1) / tf.maximum(tf.reduce_sum(weights, 1), 1.0)
