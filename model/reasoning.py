"""Latent cross reasoning over both histories, Eq. (1) to (6)."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.attention import Memory, ResidualAttention
from model.encoder import HistoryEncoder


class EncodedHistory(NamedTuple):
    """One history after Eq. (1), with all that the reasoning steps need of it.

    Attributes:
        states: H, `[B, L, d]`.
        mask: True for a real event, `[B, L]`.
        start: h^(0), `[B, d]`; None if K is 0.
        own: what this side's MSA attends to.
        cross: the other history, as this side's MCA attends to it; None if K is 0.
    """

    states: tf.Tensor
    mask: tf.Tensor
    start: tf.Tensor | None
    own: Memory
    cross: Memory | None


class Sides(NamedTuple):
    """A pair, for search and for recommendation."""

    search: Any
    rec: Any


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
        """Creates all weights; those of the encoders alone if K is 0."""
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
    ) -> Sides:
        """Encodes both histories, Eq. (1), and projects them once for every attention of Eq. (3) to (5).

        Args:
            search, rec: events with positions, `[B, Ls, d]` and `[B, Lr, d]`.
            search_mask, rec_mask: True for a real event, `[B, Ls]` and `[B, Lr]`. Nothing looks at other events.
            training: whether dropout applies.

        Returns:
            Two `EncodedHistory`. h^(0) of a history without any event is a learned vector.
        """
        search_states, search_own = self.search_encoder(search, search_mask, training=training)
        rec_states, rec_own = self.rec_encoder(rec, rec_mask, training=training)
        search_cross = rec_cross = search_start = rec_start = None
        if self.num_steps:
            search_start = _start(search_states, search_mask, self.search_empty)
            rec_start = _start(rec_states, rec_mask, self.rec_empty)
            search_cross = Memory(*self.search_cross.remember(rec), rec_mask[:, None])
            rec_cross = Memory(*self.rec_cross.remember(search), search_mask[:, None])
            if self.literal_eq5:
                rec_own = Memory(*self.rec_encoder.attention.remember(search), search_mask[:, None])
        return Sides(
            EncodedHistory(search_states, search_mask, search_start, search_own, search_cross),
            EncodedHistory(rec_states, rec_mask, rec_start, rec_own, rec_cross),
        )

    def call(
        self, histories: Sides, noise: Sides | None = None, cross: bool = True, training: bool = False
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
        if not self.num_steps:
            trajectories = 1 if noise is None else tf.shape(noise.search)[1]
            none = tf.zeros([tf.shape(histories.rec.mask)[0], trajectories, 0, self.dim], self.compute_dtype)
            return Sides(none, none)
        search, rec = histories.search.start[:, None], histories.rec.start[:, None]
        if noise is not None:
            search, rec = search + noise.search, rec + noise.rec
        search_own: tuple[Any, ...] = ()
        rec_own, search_cross, rec_cross = search_own, search_own, search_own
        steps = []
        for k in range(self.num_steps):
            search_in, rec_in = search + self.search_steps[k], rec + self.rec_steps[k]
            search_own += (self.search_encoder.attention.remember(search_in),)
            rec_own += (self.rec_encoder.attention.remember(search_in if self.literal_eq5 else rec_in),)
            search = self.search_encoder.attention(search_in, histories.search.own, search_own, training=training)
            rec = self.rec_encoder.attention(rec_in, histories.rec.own, rec_own, training=training)
            if cross:
                search_cross += (self.search_cross.remember(rec_in),)
                rec_cross += (self.rec_cross.remember(search_in),)
                search = self.search_cross(search, histories.search.cross, search_cross, training=training)
                rec = self.rec_cross(rec, histories.rec.cross, rec_cross, training=training)
            search = self.search_encoder.feed_forward(search, training)
            rec = self.rec_encoder.feed_forward(rec, training)
            steps.append(Sides(search, rec))
        return Sides(tf.stack([step.search for step in steps], 2), tf.stack([step.rec for step in steps], 2))

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
