"""SESRec: what clicks and searches agree on, and what each has alone (Si et al., SIGIR 2023)."""

import dataclasses
from typing import Any, Literal

import keras
import tensorflow as tf

from model.baselines.searching import Embedded, SearchConfig, SearchRanker
from model.config import SupervisedConfig, at_least
from model.layers.aggregation import TargetAttention
from model.layers.co_attention import CoAttention
from model.layers.contrast import QueryItemContrast
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.mlp import Mlp
from model.layers.transformer import TransformerEncoder
from model.ranker import WHOLE, Logs, Share, State

EPSILON = 1e-8
"""Of layer normalisation, as in the authors' code."""
ROUNDING = 1e-5
"""How much a weight may be below 1 / length, relatively, and still count as similar: equal weights are all similar,
however they are rounded."""
SIDES = ("rec", "search")
PARTS = ("mask", "similar", "dissimilar")


@keras.saving.register_keras_serializable(package="lcr_ser")
def leaky_relu(values: tf.Tensor) -> tf.Tensor:
    """ReLU with the slope .01 below 0, that of the authors' framework; Keras' own is .2."""
    return tf.nn.leaky_relu(values, 0.01)


@dataclasses.dataclass(frozen=True)
class SesRecConfig(SearchConfig):
    """Shape of SESRec, with the authors' settings for Kuaishou.

    Attributes:
        num_blocks: blocks of each of the two encoders.
        mlp_units: hidden widths of the scoring head.
        alignment_weight: of the contrast of queries and items; 0 leaves it out.
        alignment_temperature: of it, at first.
        triplet_weight: of the triplet loss; 0 leaves it out.
        triplet_margin: how much nearer to what both sides agree on the similar events should be than the dissimilar.
    """

    kind: Literal["sesrec"] = "sesrec"
    num_blocks: int = 1
    mlp_units: tuple[int, ...] = (200, 80)
    alignment_weight: float = 0.1
    alignment_temperature: float = 0.1
    triplet_weight: float = 0.001
    triplet_margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        at_least(self, 1, "num_blocks")
        at_least(self, 0, "alignment_weight", "triplet_weight", "triplet_margin")
        at_least(self, 1e-3, "alignment_temperature")


@keras.saving.register_keras_serializable(package="lcr_ser")
class SesRec(SearchRanker):
    """SESRec: similar and dissimilar interests of clicks and searches, told apart without labels.

    The paper's steps, and where they are:

    - Query-item alignment (`QueryItemContrast`). InfoNCE between queries and the items clicked for them.
    - Encoding (`read`). A Transformer over the clicks, and one over the searches, each the sum of its query and the
      mean of its clicked items; neither is causal, as all of a history is known.
    - Contrastive interest learning (`read`, `triplet_loss`). Co-attention between both sides gives each event a
      weight: how much it has to do with the other side. Those of at least the mean weight, 1 / length, are similar,
      the others dissimilar; where one kind is missing, all events stand for it. Of each side the weighted sum of its
      events is to be nearer to the mean of the similar than to that of the dissimilar ones.
    - Multi-interest extraction (`rank`). Bilinear attention of the candidate to all, to the similar and to the
      dissimilar events of each side; six interests, the user and the item go through an MLP.
    - The loss is the binary cross-entropy, .1 of the alignment and .001 of the triplets.

    Departures:

    - users, items and words are rows of one table each, `dim` wide, as in every model here; there is no source of a
      search and no category of an item;
    - the bilinear attention has the root of d below its scores (`TargetAttention` says why);
    - the negatives of queries and items are those of the batch, one for each of its rows, instead of 1,024 of all; an
      item of a search is the mean of those clicked in it;
    - the temperature is learned as a logarithm, so that it stays above 0;
    - positions count from the newest event back.

    Defects of the official code that are not here: padding of one side adds to the weights of the other, and an empty
    history divides by 0. Here padding has no say; of a side without events all interests are 0, it has no triplet, and
    all events of the other side weigh the same.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables to share with another model; None makes new ones.
    """

    config_class = SesRecConfig
    config: SesRecConfig

    def __init__(self, config: SesRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dim, dropout, dtype = config.dim, config.dropout, self.dtype_policy
        self.rec_positions = PositionEmbedding(config.rec_length, dim, dtype=dtype)
        self.search_positions = PositionEmbedding(config.search_length, dim, dtype=dtype)
        for side in SIDES:
            encoder = TransformerEncoder(
                config.num_blocks,
                dim,
                config.num_heads,
                dropout,
                norm="post",
                activation=leaky_relu,
                epsilon=EPSILON,
                dtype=dtype,
            )
            setattr(self, f"{side}_encoder", encoder)
            setattr(self, f"{side}_attention", TargetAttention(dim, dtype=dtype))
        self.co_attention = CoAttention(dim, dtype=dtype)
        self.head = Mlp(8 * dim, config.mlp_units, dropout, logit=True, dtype=dtype)
        if config.alignment_weight:
            self.alignment = QueryItemContrast(dim, config.alignment_temperature)
        self.build()

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """Of each side its states and the masks of its real, similar and dissimilar events, and the user."""
        return self._read(embedded, training)[0]

    def _read(self, embedded: Embedded, training: bool) -> tuple[State, dict[str, tf.Tensor]]:
        """The state, and the weights of co-attention of each side, `[B, L]`."""
        masks = {"rec": embedded.rec_mask, "search": embedded.search_mask}
        state: State = {"user": embedded.user}
        for side, events in (("rec", embedded.rec), ("search", embedded.searches)):
            placed = tf.cast(getattr(self, f"{side}_positions")(events), self.compute_dtype)
            state[side] = getattr(self, f"{side}_encoder")(placed, masks[side][:, None], training=training)
        found = self.co_attention(state["rec"], state["search"], embedded.rec_mask, embedded.search_mask)
        weights = dict(zip(SIDES, found, strict=True))
        for side, mask in masks.items():
            for part, places in zip(PARTS, (mask, *split(weights[side], mask)), strict=True):
                state[f"{side}_{part}"] = tf.cast(places, state[side].dtype)
        return state, weights

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]`."""
        candidates = tf.cast(candidates, self.compute_dtype)
        interests = [
            getattr(self, f"{side}_attention").of_history(
                candidates, tf.cast(state[side], self.compute_dtype), state[f"{side}_{part}"] > 0
            )
            for side in SIDES
            for part in PARTS
        ]
        shape = tf.shape(interests[0])
        others = [tf.cast(state["user"], self.compute_dtype)[:, None], candidates]
        values = tf.concat([*interests, *(tf.broadcast_to(one, shape) for one in others)], 2)
        return self.head(values, training=training)

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """`rec_loss`, `alignment_loss` and `triplet_loss`, and their weighted sum as `loss`."""
        config = self.config
        state, of_events = self._read(embedded, training=True)
        loss = self.pair_loss(state, embedded, weights, share)
        logs = {"rec_loss": loss}
        if config.alignment_weight:
            logs["alignment_loss"] = self.alignment(embedded.queries, embedded.clicked) * share.rows
            loss += config.alignment_weight * logs["alignment_loss"]
        if config.triplet_weight:
            of_rows = tf.add_n([self._triplets(state, side, of_events[side]) for side in SIDES])
            logs["triplet_loss"] = tf.reduce_mean(of_rows) * share.rows
            loss += config.triplet_weight * logs["triplet_loss"]
        return {**logs, "loss": loss}

    def _triplets(self, state: State, side: str, weights: tf.Tensor) -> tf.Tensor:
        parts = (state[name] for name in (side, f"{side}_similar", f"{side}_dissimilar"))
        states, similar, dissimilar = (tf.cast(part, self.variable_dtype) for part in parts)
        return triplet_loss(states, weights, similar, dissimilar, self.config.triplet_margin)


def split(weights: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Tell similar and dissimilar events apart; where one kind is missing, all real events stand for it.

    Args:
        weights: of the events, which sum to 1, `[B, L]`.
        mask: True for a real event, `[B, L]`.

    Returns:
        Two masks, bool `[B, L]`: of weights of at least 1 / length, and of those below.
    """
    length = tf.reduce_sum(tf.cast(mask, weights.dtype), 1, keepdims=True)
    heavy = weights * length >= 1.0 - ROUNDING
    similar, dissimilar = mask & heavy, mask & ~heavy
    similar, dissimilar = (
        tf.where(tf.reduce_any(part, 1, keepdims=True), part, mask) for part in (similar, dissimilar)
    )
    return similar, dissimilar


def triplet_loss(
    states: tf.Tensor, weights: tf.Tensor, similar: tf.Tensor, dissimilar: tf.Tensor, margin: float
) -> tf.Tensor:
    """max(0, |a - p| - |a - n| + margin) of a side: `[B]`, 0 for a row without events.

    The anchor a is the weighted sum of the events, p and n are the means of the similar and of the dissimilar ones.

    Args:
        states: of the events, `[B, L, d]`.
        weights, similar, dissimilar: of them, `[B, L]`; the latter two are 1 or 0.
        margin: of the Euclidean distances.
    """

    def mean(places: tf.Tensor) -> tf.Tensor:
        return _sum(states, places) / tf.maximum(tf.reduce_sum(places, 1, keepdims=True), 1.0)

    def distance(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        # The square root has no finite gradient at 0.
        return tf.sqrt(tf.reduce_sum(tf.square(one - other), 1) + 1e-12)

    anchor = _sum(states, weights)
    lost = tf.nn.relu(distance(anchor, mean(similar)) - distance(anchor, mean(dissimilar)) + margin)
    return lost * tf.cast(tf.reduce_any(similar > 0, 1), lost.dtype)


def _sum(states: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(states * weights[:, :, None], 1)
