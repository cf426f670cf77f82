"""ReaRec: think before you recommend, in the space of states (Tang et al. 2025, arXiv 2503.22675)."""

import dataclasses
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.config import SupervisedConfig, at_least
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.transformer import TransformerEncoder, causal
from model.objectives.softmax import contrastive_softmax_loss, steps_divergence
from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ops.seeds import next_seed
from model.ranker import WHOLE, Logs, Share

EPSILON = 1e-12
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class ReaRecConfig(EncoderConfig):
    """What both ways of learning have, with the authors' defaults where they do not depend on the data.

    Attributes:
        reasoning_steps: K; 0 is the encoder alone.
        input_dropout: rate on the inputs of the first block, history and reasoning steps alike.
    """

    num_heads: int = 2
    hidden_units: int = 300
    temperature: float = 0.07
    reasoning_steps: int = 2
    input_dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "reasoning_steps", "input_dropout")
        if self.input_dropout >= 1:
            raise ValueError(f"`input_dropout` should be below 1. Received: {self.input_dropout}.")


@dataclasses.dataclass(frozen=True)
class ReaRecErlConfig(ReaRecConfig):
    """Shape of ReaRec with ensemble reasoning learning.

    Attributes:
        kl_weight: of the divergence of the steps, which is maximised.
    """

    kind: Literal["rearec_erl"] = "rearec_erl"
    kl_weight: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "kl_weight")


@dataclasses.dataclass(frozen=True)
class ReaRecPrlConfig(ReaRecConfig):
    """Shape of ReaRec with progressive reasoning learning.

    Attributes:
        progressive_weight: of the loss of the steps before the last.
        temperature_scale: what a step's temperature is above that of the step after it; at least 1.
        contrast_weight: of the contrast of steps with and without noise.
        noise_scale: standard deviation of that noise.
    """

    kind: Literal["rearec_prl"] = "rearec_prl"
    progressive_weight: float = 1.0
    temperature_scale: float = 5.0
    contrast_weight: float = 1.0
    noise_scale: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "progressive_weight", "contrast_weight", "noise_scale")
        at_least(self, 1, "temperature_scale")


class History(NamedTuple):
    """A batch of histories after the encoder.

    Attributes:
        seen: the inputs of each block, `[B, L, d]` each, which its attention looks at in every reasoning step too.
        mask: True for a real click, `[B, L]`.
        start: h_0, the state of the newest click, `[B, d]`.
    """

    seen: list[tf.Tensor]
    mask: tf.Tensor
    start: tf.Tensor


class ReaRec(SequenceRanker):
    """A causal Transformer over the clicks that goes on for K places of its own.

    The state of the newest click is h_0. The input of step k is h_(k-1) plus a position of that step ("reasoning
    position embedding"); the encoder's own blocks attend from it to all clicks and to the reasoning places before it,
    and give h_k (section on the ReaRec framework). Every input of the first block is normalised and dropped from, that
    of a step as that of a click. What a block has seen is kept, so that a step costs one place, as with the authors'
    key and value cache.

    Departures, for all kinds of ReaRec. So that they are compared on the same rows as the others: positions count from
    the newest click back; a user without a click has a learned state at every step; above `full_softmax_items` items
    the catalogue is sampled, as the authors' softmax over every step and item does not fit into memory there.

    A model of this family builds itself, and implements `merge` and `losses`.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    config: ReaRecConfig

    def __init__(self, config: ReaRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype = self.dtype_policy
        self.positions = PositionEmbedding(config.rec_length, config.dim, dtype=dtype)
        if config.reasoning_steps:
            shape = (config.reasoning_steps, config.dim)
            self.reasoning_positions = self.add_weight(
                name="reasoning_positions", shape=shape, initializer="glorot_normal"
            )
        self.input_norm = Normalization(EPSILON, dtype=dtype)
        self.input_norm.build((None, None, config.dim))
        self.input_drop = Dropout(config.input_dropout, dtype=dtype)
        self.encoder = TransformerEncoder(**config.encoder_options(), epsilon=EPSILON, dtype=dtype)

    def read(self, embedded: Embedded, training: bool = False) -> History:
        """Encode the clicks."""
        states = self._enter(tf.cast(self.positions(embedded.rec), self.compute_dtype), training)
        mask, seen = causal(embedded.rec_mask), []
        for block in self.encoder.blocks:
            seen.append(states)
            states = block(states, mask, training=training)
        return History(seen, embedded.rec_mask, self._leave(states)[:, -1])

    def think(self, history: History, training: bool = False, noise: tf.Tensor | None = None) -> tf.Tensor:
        """K reasoning steps: h_0 to h_K, `[B, 1 + K, d]`, in the dtype of the weights.

        Args:
            history: what `read` gave.
            training: whether dropout applies.
            noise: what to add to the inputs of the steps, `[B, K, d]`.
        """
        states, seen, mask = [history.start], list(history.seen), history.mask[:, None]
        for step in range(self.config.reasoning_steps):
            # Weights are cast by hand: Keras does it in `call` alone.
            inputs = states[-1] + tf.cast(self.reasoning_positions[step], self.compute_dtype)
            if noise is not None:
                inputs += tf.cast(noise[:, step], self.compute_dtype)
            latest = self._enter(inputs[:, None], training)
            mask = tf.pad(mask, [[0, 0], [0, 0], [0, 1]], constant_values=True)
            for number, block in enumerate(self.encoder.blocks):
                seen[number] = tf.concat([seen[number], latest], 1)
                latest = block(latest, mask, training=training, seen=seen[number])
            states.append(self._leave(latest)[:, 0])
        return self.known_or_new(tf.stack(states, 1), history.mask)

    def merge(self, steps: tf.Tensor) -> tf.Tensor:
        """The state that items are compared with, `[B, d]`, from h_0 to h_K, `[B, 1 + K, d]`."""
        raise NotImplementedError

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """What the clicks come to, `[B, d]`."""
        return self.merge(self.think(self.read(embedded, training), training))

    def _enter(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        return self.input_drop(self.input_norm(inputs), training=training)

    def _leave(self, states: tf.Tensor) -> tf.Tensor:
        return states if self.encoder.norm is None else self.encoder.norm(states)


@keras.saving.register_keras_serializable(package="lcr_ser")
class ReaRecErl(ReaRec):
    """ReaRec with ensemble reasoning learning (ERL): the mean of all steps, which are to differ.

    The loss is the cross-entropy of the mean of h_0 to h_K less `kl_weight` times the mean Kullback-Leibler divergence
    between the distributions of every two steps over the catalogue; of each pair one side is detached. Both are as in
    the authors' code; the text sums the cross-entropies of all steps instead. Where the catalogue is sampled, the
    distributions are over that sample, which all steps share; with a binary loss, over the row's candidates.

    Departures beside those of `ReaRec`: the authors' `el_weight` is left out, as their code never uses it; so is the
    noise that their code switches on after its warm-up, where it fails for want of a factor.
    """

    config_class = ReaRecErlConfig
    config: ReaRecErlConfig

    def __init__(
        self, config: ReaRecErlConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, tables, **kwargs)
        self.build()

    def merge(self, steps: tf.Tensor) -> tf.Tensor:
        """The mean of h_0 to h_K."""
        return tf.reduce_mean(steps, 1)

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """The loss of next items, `rec_loss`, less the steps' divergence, `divergence`."""
        steps = self.think(self.read(embedded, training=True), training=True)
        loss = self.item_loss(self.merge(steps), embedded, weights, settings, share)
        logs = {"rec_loss": loss}
        if self.config.kl_weight and self.config.reasoning_steps:
            logits = [self.class_logits(state, embedded, weights, settings) for state in tf.unstack(steps, axis=1)]
            logs["divergence"] = tf.reduce_mean(steps_divergence(tf.stack(logits, 1))) * share.rows
            loss -= self.config.kl_weight * logs["divergence"]
        return {"loss": loss, **logs}


@keras.saving.register_keras_serializable(package="lcr_ser")
class ReaRecPrl(ReaRec):
    """ReaRec with progressive reasoning learning (PRL): the last step, and steps before it that may be vaguer.

    Items are compared with h_K. To its cross-entropy are added that of h_0 to h_(K-1), their mean, where step k has the
    temperature tau scale^(K-k) ("progressive temperature annealing"), and an InfoNCE within the batch between h_k with
    noise on the inputs of the steps and h_k without, mean over k = 1 to K, divided by tau ("reasoning-aware contrastive
    learning").

    Departures beside those of `ReaRec`: the contrast begins with the first step and not after two epochs, as a loss
    does not know its epoch and the authors' code fails in those two, looking for a contrast that is not there; the
    steps with noise start from the same encoded clicks, which halves the work of the encoder; users without a click,
    who are not in the paper's data and all have one state, are no negatives of each other.
    """

    config_class = ReaRecPrlConfig
    config: ReaRecPrlConfig

    def __init__(
        self, config: ReaRecPrlConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, tables, **kwargs)
        self.noise_seeds = keras.random.SeedGenerator()
        self.build()

    def merge(self, steps: tf.Tensor) -> tf.Tensor:
        """h_K."""
        return steps[:, -1]

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """The loss of next items, `rec_loss`, that of the steps before the last and the contrast, each by name."""
        config, history = self.config, self.read(embedded, training=True)
        steps = self.think(history, training=True)
        loss = self.item_loss(self.merge(steps), embedded, weights, settings, share)
        logs = {"rec_loss": loss}
        if config.progressive_weight and config.reasoning_steps:
            of_steps = [
                self.item_loss(
                    steps[:, step],
                    embedded,
                    weights,
                    settings,
                    share,
                    temperature=config.temperature * config.temperature_scale ** (config.reasoning_steps - step),
                )
                for step in range(config.reasoning_steps)
            ]
            logs["progressive_loss"] = tf.reduce_mean(of_steps)
            loss += config.progressive_weight * logs["progressive_loss"]
        if config.contrast_weight and config.reasoning_steps:
            noise = config.noise_scale * tf.random.stateless_normal(
                tf.shape(steps[:, 1:]), next_seed(self.noise_seeds), dtype=steps.dtype
            )
            noisy = self.think(history, training=True, noise=noise)
            logs["contrast_loss"] = self.contrast(noisy[:, 1:], steps[:, 1:], history.mask) * share.rows
            loss += config.contrast_weight * logs["contrast_loss"]
        return {"loss": loss, **logs}

    def contrast(self, noisy: tf.Tensor, clean: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """InfoNCE of h_1 to h_K with noise and without, `[B, K, d]` each, the mean over rows and steps."""
        new = ~tf.reduce_any(mask, 1)
        of_steps = [
            contrastive_softmax_loss(*pair, self.config.temperature, same=new[:, None] & new[None])
            for pair in zip(tf.unstack(noisy, axis=1), tf.unstack(clean, axis=1), strict=True)
        ]
        return tf.reduce_mean(of_steps)
