"""Latent cross reasoning over both histories, Eq. (1) to (6)."""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.layers.attention import Context, ResidualAttention
from model.layers.encoder import HistoryEncoder


class EncodedHistory(NamedTuple):
    """One history after Eq. (1), with all that the reasoning steps need of it.

    Attributes:
        states: H, `[B, L, d]`.
        mask: True for a real event, `[B, L]`.
        start: h^(0), `[B, d]`; None if K is 0.
        context: E with positions and its mask, which the attentions of Eq. (3) to (5) look at.
    """

    states: tf.Tensor
    mask: tf.Tensor
    start: tf.Tensor | None
    context: Context


class EncodedHistories(NamedTuple):
    """The encoded history of each side."""

    search: EncodedHistory
    rec: EncodedHistory


class Sides(NamedTuple):
    """A tensor of each side."""

    search: tf.Tensor
    rec: tf.Tensor


class Crossed(enum.Enum):
    """Which trajectories have cross attention."""

    ALL = enum.auto()
    FIRST = enum.auto()
    NONE = enum.auto()


@keras.saving.register_keras_serializable(package="lcr_ser")
class LatentCrossReasoning(keras.layers.Layer):
    """Both encoders and the K reasoning steps that share their MSA and FFN.

    Args:
        dim, num_heads, dropout, post_norm: as in `HistoryEncoder`.
        num_steps: K.
        literal_eq5: take the search context in MSA_r, as Eq. (5) is printed; otherwise the recommendation
            context, as its symmetry with Eq. (3) asks.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        dropout: float,
        post_norm: bool,
        *,
        num_steps: int,
        literal_eq5: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.layer_config: dict[str, Any] = {
            "dim": dim,
            "num_heads": num_heads,
            "dropout": dropout,
            "post_norm": post_norm,
        }
        self.dim = dim
        self.num_steps = num_steps
        self.literal_eq5 = literal_eq5
        dtype = self.dtype_policy
        self.search_encoder = HistoryEncoder(**self.layer_config, dtype=dtype, name="search_encoder")
        self.rec_encoder = HistoryEncoder(**self.layer_config, dtype=dtype, name="rec_encoder")
        self.search_cross = ResidualAttention(**self.layer_config, dtype=dtype, name="search_cross")
        self.rec_cross = ResidualAttention(**self.layer_config, dtype=dtype, name="rec_cross")

    def build(self, input_shape: Any = None) -> None:
        """Create all weights; those of the encoders alone if K is 0."""
        self.search_encoder.build()
        self.rec_encoder.build()
        if self.num_steps:
            self.search_cross.build()
            self.rec_cross.build()
            self.search_empty = self.add_weight(name="search_empty", shape=(self.dim,), initializer="zeros")
            self.rec_empty = self.add_weight(name="rec_empty", shape=(self.dim,), initializer="zeros")
            shape = (self.num_steps, self.dim)
            self.search_steps = self.add_weight(name="search_steps", shape=shape, initializer="glorot_normal")
            self.rec_steps = self.add_weight(name="rec_steps", shape=shape, initializer="glorot_normal")

    def encode(
        self,
        search: tf.Tensor,
        search_mask: tf.Tensor,
        rec: tf.Tensor,
        rec_mask: tf.Tensor,
        training: bool = False,
    ) -> EncodedHistories:
        """Encode both histories, Eq. (1).

        Args:
            search, rec: events with positions, `[B, Ls, d]` and `[B, Lr, d]`.
            search_mask, rec_mask: True for a real event, `[B, Ls]` and `[B, Lr]`. Nothing looks at other events.
            training: whether dropout applies.

        Returns:
            Both, encoded. h^(0) of a history without any event is a learned vector.
        """
        search_states, search_context = self.search_encoder(search, search_mask, training=training)
        rec_states, rec_context = self.rec_encoder(rec, rec_mask, training=training)
        search_start = rec_start = None
        if self.num_steps:
            search_start = _start(search_states, search_mask, self.search_empty)
            rec_start = _start(rec_states, rec_mask, self.rec_empty)
        return EncodedHistories(
            EncodedHistory(search_states, search_mask, search_start, search_context),
            EncodedHistory(rec_states, rec_mask, rec_start, rec_context),
        )

    def call(
        self, histories: EncodedHistories, noise: Sides | None = None, cross: bool = True, training: bool = False
    ) -> Sides:
        """Reasons K steps over encoded histories, Eq. (2) to (6).

        Args:
            histories: what `encode` gave; encoded once, whatever the number of trajectories.
            noise: what to add to h^(0), `[B, N, d]` for each side, Eq. (14); None is one trajectory without noise.
            cross: False removes MCA from Eq. (4) and (5), for the second branch of Eq. (9).
            training: whether dropout applies.

        Returns:
            h^(1) to h^(K) of each side, `[B, N, K, d]`.
        """
        return self._reason(histories, noise, Crossed.ALL if cross else Crossed.NONE, training=training)

    def contrast(self, histories: EncodedHistories, training: bool = False) -> tuple[Sides, Sides]:
        """Both branches of Eq. (9) in one go: the states with cross attention and those without, `[B, 1, K, d]` each.

        Each branch has dropout of its own.
        """
        none = tf.zeros([1, 2, 1], self.compute_dtype)
        both = self._reason(histories, Sides(none, none), Crossed.FIRST, training=training)
        crossed, plain = zip(*(tf.split(states, 2, 1) for states in both), strict=True)
        return Sides(*crossed), Sides(*plain)

    def _reason(self, histories: EncodedHistories, noise: Sides | None, crossed: Crossed, training: bool) -> Sides:
        """K steps of all trajectories at once."""
        if not self.num_steps:
            trajectories = 1 if noise is None else tf.shape(noise.search)[1]
            none = tf.zeros([tf.shape(histories.rec.mask)[0], trajectories, 0, self.dim], self.compute_dtype)
            return Sides(none, none)
        starts = Sides(*(tf.expand_dims(history.start, 1) for history in histories))
        if noise is not None:
            starts = Sides(*(start + added for start, added in zip(starts, noise, strict=True)))
        search, rec = starts
        of_search, of_rec = self._steppers(histories, crossed, training)
        search_inputs, rec_inputs, steps = [], [], []
        for k in range(self.num_steps):
            # Weights are cast by hand: Keras does it in `call` alone.
            search_inputs.append(search + tf.cast(self.search_steps[k], search.dtype))
            rec_inputs.append(rec + tf.cast(self.rec_steps[k], rec.dtype))
            search_own, rec_own = tf.stack(search_inputs, 2), tf.stack(rec_inputs, 2)
            search = of_search(search_inputs[k], search_own, rec_own)
            rec = of_rec(rec_inputs[k], search_own if self.literal_eq5 else rec_own, search_own)
            steps.append(Sides(search, rec))
        return Sides(tf.stack([step.search for step in steps], 2), tf.stack([step.rec for step in steps], 2))

    def _steppers(
        self, histories: EncodedHistories, crossed: Crossed, training: bool
    ) -> tuple[Callable[..., tf.Tensor], Callable[..., tf.Tensor]]:
        """A function for each side: its inputs of a step, and the inputs up to it that MSA and MCA see, give h^(k)."""
        search, rec = (history.context for history in histories)

        def stepper(
            encoder: HistoryEncoder, cross: ResidualAttention, own: Context, other: Context
        ) -> Callable[..., tf.Tensor]:
            of_own, of_other = encoder.attention.fold(), cross.fold()

            def step(inputs: tf.Tensor, own_inputs: tf.Tensor, other_inputs: tf.Tensor) -> tf.Tensor:
                states = encoder.attention(inputs, own, own_inputs, of_own, training=training)
                if crossed is Crossed.ALL:
                    states = cross(states, other, other_inputs, of_other, training=training)
                elif crossed is Crossed.FIRST:
                    states, plain = tf.split(states, [1, -1], 1)
                    seen, _ = tf.split(other_inputs, [1, -1], 1)
                    states = tf.concat([cross(states, other, seen, of_other, training=training), plain], 1)
                return encoder.feed_forward(states, training)

            return step

        return (
            stepper(self.search_encoder, self.search_cross, search, rec),
            stepper(self.rec_encoder, self.rec_cross, search if self.literal_eq5 else rec, search),
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            **self.layer_config,
            "num_steps": self.num_steps,
            "literal_eq5": self.literal_eq5,
        }


def _start(states: tf.Tensor, mask: tf.Tensor, empty: tf.Tensor) -> tf.Tensor:
    """h^(0) = H[-1], `[B, d]`: the state of the newest real event, wherever padding stands."""
    newest = tf.reduce_max(tf.where(mask, tf.range(tf.shape(mask)[1]), 0), 1)
    # Keras casts weights to the dtype of the states in `call` alone.
    empty = tf.cast(empty, states.dtype)
    return tf.where(tf.reduce_any(mask, 1)[:, None], tf.gather(states, newest, batch_dims=1), empty)
