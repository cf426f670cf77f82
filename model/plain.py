"""LCR-SER as one writes it first, of stock Keras layers. Read this before the rest of `model/`.

It is the same function of the same weights as `model.lcr_ser` (tests/model/test_plain.py compares the losses of 200
steps), computed where it is needed: the history is encoded anew at every reasoning step, keys and values are projected
again, the head sees the concatenated inputs, every lookup gathers on its own. What that costs is in `benchmarks`.
"""

import keras
import tensorflow as tf

from model.config import LcrSerConfig
from model.contract import CANDIDATES, PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER


class PlainResidual(keras.layers.Layer):
    """LN(x + MHA(x, memory)) of stock layers."""

    def __init__(self, config: LcrSerConfig) -> None:
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(config.num_heads, config.dim // config.num_heads)
        self.drop = keras.layers.Dropout(config.dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def call(self, inputs: tf.Tensor, memory: tf.Tensor, mask: tf.Tensor, training: bool) -> tf.Tensor:
        """Attends from `[B, T, d]` to `[B, L, d]`."""
        attended = self.attention(inputs, memory, attention_mask=mask, training=training)
        return self.norm(inputs + self.drop(attended, training=training))


class PlainFeedForward(keras.layers.Layer):
    """LN(x + W2 relu(W1 x))."""

    def __init__(self, config: LcrSerConfig) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(config.dim, "relu")
        self.out = keras.layers.Dense(config.dim)
        self.drop = keras.layers.Dropout(config.dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def call(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Take and give `[..., d]`."""
        return self.norm(inputs + self.drop(self.out(self.hidden(inputs)), training=training))


class PlainSide(keras.layers.Layer):
    """One history's layers and weights: MSA, MCA and FFN, positions, step vectors e^(k), and W of Eq. (8)."""

    def __init__(self, config: LcrSerConfig, length: int) -> None:
        super().__init__()
        self.positions = keras.layers.Embedding(length, config.dim)
        self.own, self.cross, self.feed_forward = PlainResidual(config), PlainResidual(config), PlainFeedForward(config)
        self.steps = self.add_weight(shape=(config.reasoning_steps, config.dim))
        self.bilinear = keras.layers.Dense(config.dim, use_bias=False)


class PlainLcrSer(keras.Model):
    """The model of Eq. (1) to (10), for histories that are never empty."""

    def __init__(self, config: LcrSerConfig) -> None:
        super().__init__()
        self.config = config
        self.users = keras.layers.Embedding(config.num_users, config.dim)
        self.items = keras.layers.Embedding(config.num_items, config.dim)
        self.words = keras.layers.Embedding(config.num_words, config.dim)
        self.search = PlainSide(config, config.search_length)
        self.rec = PlainSide(config, config.rec_length)
        self.hidden = [keras.layers.Dense(units, "relu") for units in config.mlp_units]
        self.drops = [keras.layers.Dropout(config.dropout) for _ in config.mlp_units]
        self.score = keras.layers.Dense(1)

    def build(self, input_shape: tuple[int, ...] | None = None) -> None:
        """Leaves it to the layers, at their first call."""
        self.built = True

    def call(
        self, batch: dict[str, tf.Tensor], training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """Logits `[B, C]`, the target's e_v `[B, d]`, and h^(K) of both sides with and without cross attention."""
        words, clicks = batch[SEARCH_WORDS], batch[SEARCH_ITEMS]
        search = _mean(self.words(words), words) + _mean(self.items(clicks), clicks)
        rec = self.items(batch[REC_ITEMS])
        search += self.search.positions(tf.range(tf.shape(search)[1]))
        rec += self.rec.positions(tf.range(tf.shape(rec)[1]))
        encoded = [self._encode(self.search, search, training)[0], self._encode(self.rec, rec, training)[0]]
        crossed = self._reason(search, rec, encoded, cross=True, training=training)
        plain = self._reason(search, rec, encoded, cross=False, training=training)
        candidates = self.items(batch[CANDIDATES])
        wanted = [
            self._attend(side, candidates, tf.concat([states, *(step[:, None] for step in steps)], 1))
            for side, states, steps in zip((self.search, self.rec), encoded, crossed, strict=True)
        ]
        user = tf.repeat(self.users(batch[USER])[:, None], tf.shape(candidates)[1], 1)
        outputs = tf.concat([user, *wanted, candidates], -1)
        for layer, drop in zip(self.hidden, self.drops, strict=True):
            outputs = drop(layer(outputs), training=training)
        last = [[steps[-1] for steps in branch] for branch in (crossed, plain)]
        return self.score(outputs)[..., 0], candidates[:, 0], *last

    def _encode(self, side: PlainSide, inputs: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Eq. (1) of a sequence: its states, and what MSA gives before the FFN."""
        length = tf.shape(inputs)[1]
        causal = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)[None]
        attended = side.own(inputs, inputs, causal, training=training)
        return side.feed_forward(attended, training=training), attended

    def _reason(
        self, search: tf.Tensor, rec: tf.Tensor, encoded: list[tf.Tensor], cross: bool, training: bool
    ) -> list[list[tf.Tensor]]:
        """h^(1) to h^(K) of each side, Eq. (2) to (6): a step is one more event, and attends to what was before it."""
        states: list[tf.Tensor] = [one[:, -1] for one in encoded]  # h^(0)
        found: list[list[tf.Tensor]] = [[], []]
        for step in range(self.config.reasoning_steps):
            new = [
                (state + side.steps[step])[:, None] for state, side in zip(states, (self.search, self.rec), strict=True)
            ]
            search, rec = tf.concat([search, new[0]], 1), tf.concat([rec, new[1]], 1)
            states = []
            for side, own, other in ((self.search, search, rec), (self.rec, rec, search)):
                attended = self._encode(side, own, training)[1][:, -1:]
                if cross:
                    attended = side.cross(attended, other, None, training=training)
                states.append(side.feed_forward(attended, training=training)[:, 0])
            for of_side, state in zip(found, states, strict=True):
                of_side.append(state)
        return found

    def _attend(self, side: PlainSide, candidates: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
        """Target-aware aggregation of history and steps, Eq. (7) and (8): `[B, C, d]`."""
        scores = tf.matmul(candidates, side.bilinear(states), transpose_b=True) * self.config.dim**-0.5
        return tf.matmul(tf.nn.softmax(scores), states)


def _mean(rows: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    real = tf.cast(ids != PADDING_ID, rows.dtype)[..., None]
    return tf.reduce_sum(rows * real, 2) / tf.maximum(tf.reduce_sum(real, 2), 1.0)
