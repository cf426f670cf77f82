"""InfoNCE of bilinear similarities within a batch, as SESRec and UniSAR align what they read."""

import math
from typing import Any

import keras
import tensorflow as tf

from model.objectives.contrast import partner_losses
from model.ops.linear import linear
from model.ops.softmax_attention import MASKED_LOGIT

SAME = 1e-5
"""How far apart the sums of equal vectors may be, as a share of the sum of absolute values. In a few of a hundred cases
one of a thousand other vectors is as near by chance: a negative less."""


class BilinearContrast(keras.layers.Layer):
    """s(a, b) = tanh(a W b) / temperature, and what of a softmax over it is lost.

    The temperature is learned as its logarithm, so that it stays above 0.

    Args:
        dim: d.
        temperature: the first one.
    """

    def __init__(self, dim: int, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.temperature = dim, temperature

    def build(self, input_shape: Any = None) -> None:
        """Create W and the temperature."""
        self.kernel = self.add_weight(
            name="kernel", shape=(self.dim, self.dim), initializer="glorot_normal", autocast=False
        )
        self.log_temperature = self.add_weight(
            name="log_temperature",
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.temperature)),
            autocast=False,
        )

    def project(self, vectors: tf.Tensor) -> tf.Tensor:
        """a W, in the dtype of the weights: `[N, d]` gives `[N, d]`."""
        return linear(tf.cast(vectors, self.variable_dtype), self.kernel.value)

    def scale(self, products: tf.Tensor) -> tf.Tensor:
        """Similarities of products a W b."""
        return tf.tanh(products) * tf.exp(-self.log_temperature)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "temperature": self.temperature}


def mean_of(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Mean of the values `[N]` that are valid, bool `[N]`; 0 where none is."""
    weights = tf.cast(valid, values.dtype)
    return tf.reduce_sum(tf.where(valid, values, 0.0)) / tf.maximum(tf.reduce_sum(weights), 1.0)


@keras.saving.register_keras_serializable(package="lcr_ser")
class QueryItemContrast(BilinearContrast):
    """Brings queries near the items that were clicked for them.

    L = mean of (CE(s(q, i), over items) + CE(s(i, q), over queries)) / 2 over all searches with a query and a click.
    The negatives of every search are those of the newest such search of each row of the batch: as many as the batch
    has rows, and none that is the same query or the same items.
    """

    def call(self, queries: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """A scalar, 0 for a batch without such a search.

        Args:
            queries, items: a vector for the query of each search and for what was clicked in it, `[B, L, d]`, zero
                where there is none.
        """
        real = tf.reduce_any(queries != 0, 2) & tf.reduce_any(items != 0, 2)
        newest = tf.reduce_max(tf.where(real, tf.range(tf.shape(real)[1])[None], -1), 1)
        flat_queries, flat_items = (tf.reshape(one, [-1, self.dim]) for one in (queries, items))
        others = [tf.gather(one, tf.maximum(newest, 0), batch_dims=1) for one in (queries, items)]
        known = newest >= 0
        losses = self._lost(flat_queries, flat_items, others[1], known)
        losses += self._lost(flat_items, flat_queries, others[0], known)
        return mean_of(losses / 2.0, tf.reshape(real, [-1]))

    def _lost(self, anchors: tf.Tensor, positives: tf.Tensor, others: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """`[N]` of anchors and positives, `[N, d]` each, and negatives `[B, d]` of which `known` `[B]` are there."""
        positives, others = (tf.cast(one, self.variable_dtype) for one in (positives, others))
        projected = self.project(anchors)
        positive = self.scale(tf.reduce_sum(projected * positives, 1))
        negative = self.scale(tf.matmul(projected, others, transpose_b=True))
        # Equal vectors are the same query or items, and have equal sums, but for rounding: means of one word and of the
        # same word twice differ by it, and so do sums of more or of fewer vectors under XLA.
        own, of_others = (tf.stop_gradient(tf.reduce_sum(one, 1)) for one in (positives, others))
        near = SAME * tf.stop_gradient(tf.reduce_sum(tf.abs(positives), 1))
        different = tf.abs(own[:, None] - of_others[None]) > near[:, None]
        negative = tf.where(known[None] & different, negative, MASKED_LOGIT)
        return tf.reduce_logsumexp(tf.concat([positive[:, None], negative], 1), 1) - positive


@keras.saving.register_keras_serializable(package="lcr_ser")
class HistoryContrast(BilinearContrast):
    """Brings two vectors of each row together and away from both vectors of all other rows.

    Of the 2 B vectors z each is to find its partner among the 2 B - 1 others, CE(s(z_i, z_j)).
    """

    def call(self, one: tf.Tensor, other: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        """A scalar, the mean over all vectors of valid rows; 0 where no row is valid.

        Args:
            one, other: `[B, d]`.
            valid: False leaves a row out, also as a negative, bool `[B]`.
        """
        vectors = tf.cast(tf.concat([one, other], 0), self.variable_dtype)
        similarities = self.scale(tf.matmul(self.project(vectors), vectors, transpose_b=True))
        return mean_of(partner_losses(similarities, valid), valid)
