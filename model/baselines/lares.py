"""LARES: latent reasoning by a block that recurs over all places (Liu et al. 2025, arXiv 2505.16865)."""

import dataclasses
import math
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.config import SupervisedConfig, at_least
from model.contract import UNKNOWN_ID
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.transformer import TransformerEncoder, causal
from model.objectives.softmax import contrastive_softmax_loss
from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ops.seeds import next_seed
from model.ops.shapes import shaped, sizes
from model.ranker import WHOLE, Logs, Share

EPSILON = 1e-12
"""Of layer normalisation, as in the authors' code."""
START_SEED = (2505, 16865)
"""Of the T_0 of every request. Another one is another model."""
RATE_SPREAD = 0.5
"""Standard deviation of the logarithm of the rate that the number of steps is drawn with."""


@dataclasses.dataclass(frozen=True)
class LaresConfig(EncoderConfig):
    """Shape of LARES, with the authors' defaults where they do not depend on the data; see `EncoderConfig`.

    Attributes:
        num_blocks: Transformer blocks of the pre-block.
        core_blocks: of the core-block, which recurs.
        mean_steps: reasoning steps of a request, and the mean of the rate that those of a training step are drawn with;
            these are three times as many at the most.
        drawn_steps: whether they are drawn; False takes `mean_steps` in training too. Either way the steps are a loop
            (`compiles`); `jit_compile` of GRPO can be on.
        start_scale: standard deviation of T_0 before it is cut at three of them.
        trajectory_weight: alpha, of the alignment of rows with the same target.
        step_weight: gamma, of the alignment of the last step with an earlier one.
    """

    compiles: ClassVar[bool] = False
    kind: Literal["lares"] = "lares"
    num_blocks: int = 1
    num_heads: int = 2
    hidden_units: int = 256
    core_blocks: int = 1
    mean_steps: int = 4
    drawn_steps: bool = True
    start_scale: float = 3.0
    trajectory_weight: float = 0.1
    step_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "core_blocks", "mean_steps")
        at_least(self, 0, "start_scale", "trajectory_weight", "step_weight")


class Histories(NamedTuple):
    """Clicks after the pre-block.

    Attributes:
        states: H, `[B, L, d]`.
        mask: what each place may look at, `[B, L, L]`.
    """

    states: tf.Tensor
    mask: tf.Tensor


class Explored(NamedTuple):
    """What the recurrence of a training step came to.

    Attributes:
        last: of the newest click after the last step, `[B, d]`.
        earlier: after a step before it, drawn at random, `[B, d]`.
        steps: how many there were, a scalar; of one alone, `earlier` is 0.
    """

    last: tf.Tensor
    earlier: tf.Tensor
    steps: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class Lares(SequenceRanker):
    """LARES: the inner product of an item with the newest click's state after a block has recurred over all places.

    The pre-block makes H of the clicks; the core-block refines T_i = Core(LN((T_(i-1) + H) / 2)) at every place, with
    the same weights in each step, from T_0 = `start_scale` times a normal variable that is cut at three standard
    deviations (section on the architecture). In training the number of steps is 1 plus a Poisson variable, whose rate
    is log-normal with mean `mean_steps`.

    Phase 1, "self-supervised pre-training", is `losses`: cross-entropy, the alignment of two rows with the same target
    (trajectories), and that of the last step with an earlier one (steps). Phase 2, "reinforcement post-training", is
    the same GRPO that LCR-SER has (`model.training.reinforcement`), since this is a `Reasoner`: trajectories differ in
    T_0.

    Departures:

    - T_0 of a request is drawn once for all: of a fixed seed, for each place, counted from the newest click back, and
      channel. The authors draw it anew for each row of a test. Here the same request must get the same scores, alone
      or in a batch, from a server or from the evaluator.
    - One pass gives all three losses; the authors encode each row three times, with dropout of its own.
    - The row with the same target is another one of the batch, where the authors look one up in the whole log: a
      training step knows its batch alone. Rows without one are negatives alone, rows with the same target are no
      negatives of each other, and the unknown item, which many items become, is nobody's target.
    - The earlier step is never the last one, which the authors' code may draw, and compare with itself.
    - Positions count from the newest click back, and a user without a click has a learned state, which aligns with
      nothing. Above `full_softmax_items` items the catalogue is sampled.
    - Of GRPO: trajectories have `mean_steps` steps each and one ratio, that of the last step, where the authors draw
      the number of steps and weigh each step's own ratio; the reward and the policy are those of the stage's settings,
      on its candidates and not the whole catalogue; rows are not filtered beforehand by whether their target is
      among the first hundred; dropout is off. So both models of this repository that reason are explored in one way.
      The deviation of a T_0 from that of a request is scaled by the stage's noise: 1 is a draw of its own, as theirs.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    config_class = LaresConfig
    config: LaresConfig

    def __init__(self, config: LaresConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype, options = self.dtype_policy, config.encoder_options()
        self.positions = PositionEmbedding(config.rec_length, config.dim, dtype=dtype)
        self.input_norm = Normalization(EPSILON, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.pre = TransformerEncoder(**options, epsilon=EPSILON, dtype=dtype)
        self.thought_norm = Normalization(EPSILON, dtype=dtype)
        self.core = TransformerEncoder(**{**options, "num_blocks": config.core_blocks}, epsilon=EPSILON, dtype=dtype)
        self.seeds = keras.random.SeedGenerator()
        for norm in (self.input_norm, self.thought_norm):
            norm.build((None, None, config.dim))
        self.build()

    def read(self, embedded: Embedded, training: bool = False) -> Histories:
        """The pre-block: H."""
        inputs = self.input_norm(tf.cast(self.positions(embedded.rec), self.compute_dtype))
        mask = causal(embedded.rec_mask)
        return Histories(self.pre(self.drop(inputs, training=training), mask, training=training), mask)

    def start(self) -> tf.Tensor:
        """T_0 of every request, `[Lr, d]`, the place of the newest click last."""
        return self._starts([self.config.rec_length, self.config.dim], tf.constant(START_SEED))

    def think(self, thoughts: tf.Tensor, histories: Histories, training: bool = False) -> tf.Tensor:
        """One step: T_i from T_(i-1), both `[B, L, d]`."""
        mixed = (thoughts + histories.states) / 2
        return self.core(self.thought_norm(mixed), histories.mask, training=training)

    def explore(self, histories: Histories) -> Explored:
        """The recurrence of a training step, from a T_0 of each row and over as many steps as are drawn."""
        thoughts = tf.cast(self._starts(tf.shape(histories.states), next_seed(self.seeds)), self.compute_dtype)
        thoughts = tf.ensure_shape(thoughts, histories.states.shape)
        most = 3 * self.config.mean_steps if self.config.drawn_steps else self.config.mean_steps
        steps = self._steps(most)
        drawn = tf.random.stateless_uniform([], next_seed(self.seeds))
        chosen = 1 + tf.cast(drawn * tf.cast(steps - 1, drawn.dtype), tf.int32)

        def step(number: tf.Tensor, thoughts: tf.Tensor, earlier: tf.Tensor) -> tuple[tf.Tensor, ...]:
            thoughts, number = self.think(thoughts, histories, training=True), number + 1
            return number, thoughts, tf.where(number == chosen, thoughts[:, -1], earlier)

        _, thoughts, earlier = tf.while_loop(
            lambda number, *_: number < steps,
            step,
            (tf.constant(0), thoughts, tf.zeros_like(thoughts[:, -1])),
            maximum_iterations=most,
        )
        # Of a single step `chosen` is that one, and nothing is earlier.
        return Explored(thoughts[:, -1], tf.where(steps > 1, earlier, 0), steps)

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state of the newest click after the last step, `[B, d]`."""
        histories = self.read(embedded, training)
        if training:
            return self.explore(histories).last
        return self.reason(histories)[:, 0, -1]

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """Phase 1: the loss of next items, `rec_loss`, and both alignments, each by name.

        The alignments contrast the rows of one replica.
        """
        explored = self.explore(self.read(embedded, training=True))
        last, earlier = (self.known_or_new(state, embedded.rec_mask) for state in (explored.last, explored.earlier))
        loss = self.item_loss(last, embedded, weights, settings, share)
        logs = {"rec_loss": loss}
        known = tf.reduce_any(embedded.rec_mask, 1)
        if self.config.trajectory_weight:
            targets = embedded.candidate_ids[:, 0]
            alike = (targets[:, None] == targets[None]) & (targets != UNKNOWN_ID)[None] & known[:, None] & known[None]
            partner = next_alike(alike)
            found = partner != tf.range(tf.shape(partner)[0])
            logs["trajectory_loss"] = self._align(last, tf.gather(last, partner), alike, found) * share.rows
            loss += self.config.trajectory_weight * logs["trajectory_loss"]
        if self.config.step_weight:
            new = ~known
            aligned = known & (explored.steps > 1)
            logs["step_loss"] = self._align(last, earlier, new[:, None] & new[None], aligned) * share.rows
            loss += self.config.step_weight * logs["step_loss"]
        return {"loss": loss, **logs}

    @property
    def reasoning_variables(self) -> list[keras.Variable]:
        """The weights of the step."""
        return [*self.thought_norm.trainable_variables, *self.core.trainable_variables]

    def noise(self, rows: tf.Tensor, trajectories: int, scale: float, seed: int, step: tf.Tensor) -> tf.Tensor:
        """What the T_0 of each trajectory has more than that of a request, `[B, N, Lr, d]`; 0 for the first one.

        With a scale of 1 it is a draw of its own; below, it is nearer to that of a request.
        """
        shape = [rows, trajectories - 1, self.config.rec_length, self.config.dim]
        drawn = self._starts(shape, tf.stack([tf.constant(seed + 1, tf.int64), tf.cast(step, tf.int64)]))
        return tf.pad(scale * (drawn - self.start()), [[0, 0], [1, 0], [0, 0], [0, 0]])

    def reason(
        self, histories: Histories, noise: tf.Tensor | None = None, cross: bool = True, training: bool = False
    ) -> tf.Tensor:
        """`mean_steps` steps of N trajectories.

        Args:
            histories: what `read` gave.
            noise: what `noise` gave; None is the trajectory of a request alone.
            cross: there is nothing to cross.
            training: whether dropout applies.

        Returns:
            The state of the newest click after each step, `[B, N, K, d]`.
        """
        batch, length, dim = sizes(histories.states)
        starts = self.start()[None, None] if noise is None else self.start() + noise
        trajectories = sizes(starts)[1]
        starts = tf.broadcast_to(starts[:, :, -length:], [batch, trajectories, length, dim])
        thoughts = tf.cast(shaped(starts, [batch * trajectories, length, dim]), self.compute_dtype)
        repeated = Histories(*(tf.repeat(part, trajectories, 0) for part in histories))
        found = []
        for _ in range(self.config.mean_steps):
            thoughts = self.think(thoughts, repeated, training)
            found.append(thoughts[:, -1])
        return tf.reshape(tf.stack(found, 1), [batch, trajectories, self.config.mean_steps, dim])

    def rank(self, embedded: Embedded, histories: Histories, steps: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of the embedded candidates after the last step of each trajectory, `[B, N, C]`."""
        states = self.known_or_new(steps[:, :, -1], embedded.rec_mask)
        return tf.matmul(states, embedded.candidates, transpose_b=True) / self.config.temperature

    def _starts(self, shape: Any, seed: tf.Tensor) -> tf.Tensor:
        """Draws of T_0, by the inverse of the distribution function, which TensorFlow cuts at two deviations."""
        inside = math.erf(3 / math.sqrt(2))
        uniform = tf.random.stateless_uniform(shape, seed, -inside, inside, alg="philox")
        return self.config.start_scale * math.sqrt(2) * tf.math.erfinv(uniform)

    def _steps(self, most: int) -> tf.Tensor:
        """How many steps a training step takes, an int32 scalar of 1 to `most`."""
        if not self.config.drawn_steps:
            return tf.constant(most)
        spread = RATE_SPREAD * tf.random.stateless_normal([], next_seed(self.seeds))
        rate = self.config.mean_steps * tf.exp(spread - RATE_SPREAD**2 / 2)
        # A Poisson variable counts arrivals a unit of time long, whose gaps are exponential; XLA draws no other.
        gaps = -tf.math.log1p(-tf.random.stateless_uniform([most - 1], next_seed(self.seeds)))
        return 1 + tf.reduce_sum(tf.cast(tf.cumsum(gaps) <= rate, tf.int32))

    def _align(self, one: tf.Tensor, other: tf.Tensor, same: tf.Tensor, aligned: tf.Tensor) -> tf.Tensor:
        """Symmetric InfoNCE within the batch, the mean over the rows that are aligned; 0 where none is."""
        rows = tf.cast(aligned, one.dtype)
        there, back = (
            contrastive_softmax_loss(*pair, self.config.temperature, same=same) for pair in ((one, other), (other, one))
        )
        return tf.reduce_sum(rows * (there + back) / 2) / tf.maximum(tf.reduce_sum(rows), 1)


def next_alike(alike: tf.Tensor) -> tf.Tensor:
    """For each row the next one in turn that is alike, itself where none is: bool `[B, B]` gives int32 `[B]`."""
    count = tf.shape(alike)[0]
    rows = tf.range(count)
    away = (rows[None] - rows[:, None] - 1) % count  # 0 for the row after it, B - 1 for itself
    own = rows[:, None] == rows[None]
    return tf.argmin(tf.where(alike | own, away, count), 1, tf.int32)
