"""UnifiedSSR: one encoder for clicked products and for queries (Xie et al., WWW 2024)."""

import dataclasses
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from model.baselines.searching import Embedded, JointConfig, JointRanker
from model.config import SupervisedConfig, at_least
from model.layers.embeddings import EmbeddingTable
from model.layers.session_windows import SessionWindows
from model.layers.transformer import TransformerDecoderBlock, causal
from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ranker import WHOLE, Logs, Share, State

EPSILON = 1e-6
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class UnifiedSsrConfig(JointConfig):
    """Shape of UnifiedSSR, with the authors' settings where they do not depend on the data.

    Attributes:
        num_blocks: blocks of the encoder.
        num_windows: S, sessions that a sequence is taken for.
        session_weight: of the loss that tells sessions apart; 0 leaves it out.
    """

    kind: Literal["unified_ssr"] = "unified_ssr"
    num_heads: int = 4
    dropout: float = 0.5
    search_weight: float = 1.0
    num_blocks: int = 2
    num_windows: int = 2
    session_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_blocks", "num_windows")
        at_least(self, 0, "session_weight")


class Branch(NamedTuple):
    """A sequence after the encoder.

    Attributes:
        states: with the means of their sessions, `[B, L, d]`.
        sessions: these means, `[B, S, d]`.
        mask: True for a real event, `[B, L]`.
    """

    states: tf.Tensor
    sessions: tf.Tensor
    mask: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class UnifiedSsr(JointRanker):
    """UnifiedSSR: the inner product of an item with the last state of the clicked products, and of the queries.

    The paper's parts, and where they are:

    - Embedding (`_tokens`). An item, or the mean of a query's words, times the root of d, plus the user, likewise, plus
      sinusoidal positions.
    - Siamese encoder (`encoded`). One stack of blocks for both sequences: self-attention, attention to the other
      sequence, a feed-forward network of width 2 d, normalised before each. For a recommendation there are no queries,
      and the clicks are their own other sequence: the searches of a request have a say through the weights alone.
    - Sessions (`branches`, `_session_loss`). Windows of predicted places; the mean of a window is added to its
      events. Neighbouring windows should differ, |cos| of their means, and a window of products agree with that of
      queries, -cos.
    - Recommendation (`rank`). Inner product of the newest state with the item.
    - Product search. w times that of the products plus 1 - w times that of the queries; w is learned, from .1 to .9.
    - Losses. log sigmoid of the target and of n negatives, summed over these, as a mean over rows. That of a search is
      w times the loss of its products plus 1 - w times that of its queries.

    A search to be answered has for queries those of the searches before it and its own, and for products what was
    clicked in the searches before: each place holds a query and what was clicked just before it.

    Departures:

    - a training row is one target, not every place of a sequence, and both tasks are learned in one stage, without
      fine-tuning on one of them; the optimiser is the loop's;
    - items to be scored are rows of the table as they are: after the factor, the root of d, the first logits would be
      of its size, and the authors' tables begin much smaller;
    - w is .1 + .8 sigmoid(x): clipped, it would stay where it was clipped;
    - normalisation divides by the deviation of d numbers, theirs by that of a sample of d, which a scale makes up for;
    - positions count from the newest event back; a user without a click has a learned state, `newcomer`.

    Defects of the official code that are not here:

    - a place sees what comes after it, the answer included; here it sees itself and what is older (`causal`);
    - every block of the stack reads the inputs of the first, so that the last one alone counts; here a block reads the
      block before it;
    - attention to the other sequence is masked by what is real of its own: in a search products miss the first query,
      and queries look at the place before the first product; here by what is real of the other;
    - windows are compared with the numbers of places, half an event before their middles, so that no gradient reaches
      the offsets; here they are compared with the middles, and their edges are soft;
    - the parts that sessions begin from are cut of the padded sequence; here of its real events;
    - what is added to an event is the event itself, not the mean of its window.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables to share with another model; None makes new ones.
    """

    config_class = UnifiedSsrConfig
    config: UnifiedSsrConfig

    def __init__(
        self, config: UnifiedSsrConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, tables, **kwargs)
        dtype = self.dtype_policy
        for number in range(config.num_blocks):  # TensorFlow does not save what is in a list of Keras
            block = TransformerDecoderBlock(
                config.dim,
                config.num_heads,
                config.dropout,
                hidden_units=2 * config.dim,
                norm="pre",
                epsilon=EPSILON,
                dtype=dtype,
            )
            setattr(self, f"block_{number}", block)
        self.norm = Normalization(EPSILON, dtype=dtype)
        self.norm.build((None, None, config.dim))
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.windows = SessionWindows(config.dim, config.num_windows, dtype=dtype)
        self.newcomer = self.add_weight(name="newcomer", shape=(config.dim,), initializer="zeros")
        self.balance = self.add_weight(name="balance", shape=(), initializer="zeros")
        self.build()

    @property
    def blocks(self) -> list[TransformerDecoderBlock]:
        """The encoder's blocks, the first one first."""
        return [getattr(self, f"block_{number}") for number in range(self.config.num_blocks)]

    @property
    def product_weight(self) -> tf.Tensor:
        """w, how much of a search's score is that of the products: from .1 to .9, and .5 at first."""
        return 0.1 + 0.8 * tf.sigmoid(self.balance)

    def encoded(self, embedded: Embedded, training: bool = False) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Each sequence after the encoder, `[B, L, d]`, and its mask, `[B, L]`; of a recommendation the products."""
        if embedded.query is None:
            sequences = {"products": (embedded.rec, embedded.rec_mask)}
        else:
            none, some = (fill(embedded.search_mask[:, :1]) for fill in (tf.zeros_like, tf.ones_like))
            clicked = tf.concat([tf.zeros_like(embedded.clicked[:, :1]), embedded.clicked], 1)
            queries = tf.concat([embedded.queries, embedded.query[:, None]], 1)
            sequences = {
                "products": (clicked, tf.concat([none, embedded.search_mask], 1)),
                "queries": (queries, tf.concat([embedded.search_mask, some], 1)),
            }
        states = {
            name: self.drop(self._tokens(events, embedded.user), training=training)
            for name, (events, _) in sequences.items()
        }
        seen = {name: causal(mask) for name, (_, mask) in sequences.items()}
        others = {name: other for name, other in zip(states, reversed(states), strict=True)}
        for block in self.blocks:
            states = {
                name: block(states[name], seen[name], states[other], seen[other], training=training)
                for name, other in others.items()
            }
        return {name: (self.norm(states[name]), mask) for name, (_, mask) in sequences.items()}

    def branches(self, embedded: Embedded, training: bool = False) -> dict[str, Branch]:
        """The same with their sessions."""
        found = {}
        for name, (states, mask) in self.encoded(embedded, training).items():
            placed, sessions = self.windows(states, mask)
            found[name] = Branch(placed, sessions, mask)
        return found

    def _tokens(self, events: tf.Tensor, user: tf.Tensor) -> tf.Tensor:
        tokens = (events + user[:, None]) * self.config.dim**0.5 + sinusoids(events.shape[1], self.config.dim)[None]
        return tf.cast(tokens, self.compute_dtype)

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """The newest state of the products, and for a search that of the queries, `[B, d]` each."""
        return self._newest(self.branches(embedded, training))

    def _newest(self, branches: dict[str, Branch]) -> State:
        return {
            name: tf.where(
                tf.reduce_any(branch.mask, 1, keepdims=True),
                tf.cast(branch.states[:, -1], self.variable_dtype),
                self.newcomer,
            )
            for name, branch in branches.items()
        }

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]`; where the state holds one of queries, those of a search."""
        logits = {name: tf.linalg.matvec(candidates, of_branch) for name, of_branch in state.items()}
        if "queries" not in logits:
            return logits["products"]
        return self.product_weight * logits["products"] + (1.0 - self.product_weight) * logits["queries"]

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """`rec_loss` and `session_loss`, and their weighted sum as `loss`."""
        return self._joint_losses(embedded, weights, share, "rec_loss", "session_loss")

    def search_losses(
        self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE
    ) -> Logs:
        """`answer_loss` and `search_session_loss`, and their weighted sum as `loss`."""
        return self._joint_losses(embedded, weights, share, "answer_loss", "search_session_loss")

    def _joint_losses(self, embedded: Embedded, weights: tf.Tensor, share: Share, name: str, session_name: str) -> Logs:
        branches = self.branches(embedded, training=True)
        lost = {
            branch: sum_loss(tf.linalg.matvec(embedded.candidates, state), weights)
            for branch, state in self._newest(branches).items()
        }
        loss = lost["products"]
        if "queries" in lost:
            loss = self.product_weight * loss + (1.0 - self.product_weight) * lost["queries"]
        logs = {name: tf.reduce_mean(loss) * share.rows}
        loss = logs[name]
        if self.config.session_weight:
            logs[session_name] = tf.reduce_mean(self._session_loss(branches)) * share.rows
            loss += self.config.session_weight * logs[session_name]
        return {**logs, "loss": loss}

    def _session_loss(self, branches: dict[str, Branch]) -> tf.Tensor:
        """`[B]`; 0 for a row with fewer products than windows, whose windows hold the same ones."""
        units = [tf.math.l2_normalize(tf.cast(one.sessions, self.variable_dtype), 2) for one in branches.values()]
        lost = tf.zeros_like(units[0][:, 0, 0])
        if self.config.num_windows > 1:
            for unit in units:
                lost += tf.reduce_mean(tf.abs(tf.reduce_sum(unit[:, 1:] * unit[:, :-1], 2)), 1)
        if len(units) > 1:
            lost -= tf.reduce_mean(tf.reduce_sum(units[0] * units[1], 2), 1)
        enough = tf.math.count_nonzero(branches["products"].mask, 1) >= self.config.num_windows
        return tf.where(enough, lost, 0.0)


def sum_loss(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(o) of the target in column 0, and -log(1 - sigmoid(o)) of each negative, summed: `[B]`.

    Args:
        logits, weights: `[B, 1 + n]`; the weight 0 leaves a negative out.
    """
    return tf.nn.softplus(-logits[:, 0]) + tf.reduce_sum(weights[:, 1:] * tf.nn.softplus(logits[:, 1:]), 1)


def sinusoids(length: int, dim: int) -> tf.Tensor:
    """Positions `[L, d]` of Vaswani et al. (2017), section 3.5; the last row is position 0."""
    angles = np.arange(length)[::-1, None] / 10_000.0 ** (np.arange(0, dim, 2) / dim)
    waves = np.stack([np.sin(angles), np.cos(angles)], 2).reshape(length, -1)
    return tf.constant(waves[:, :dim], tf.float32)
