"""Embedding tables whose every needed row is gathered once a batch (section 3.2.1), and positions (3.2.2)."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from model.contract import PADDING_ID
from model.ops.shapes import shaped, sizes


class Lookup(NamedTuple):
    """Rows of one table that a batch needs, and where each of its ids finds its own.

    Attributes:
        rows: the U distinct rows, `[U, d]`; the row of the padding id is zero.
        positions: for each tensor of ids that was looked up, the indices into `rows`, of the same shape.
    """

    rows: tf.Tensor
    positions: list[tf.Tensor]


@keras.saving.register_keras_serializable(package="lcr_ser")
class EmbeddingTable(keras.layers.Layer):
    """One table of users, items or words.

    A lookup touches each needed row once, so its gradient is `tf.IndexedSlices` over distinct rows whatever
    the number of ids, and no operation is proportional to the table.

    Args:
        num_rows: rows, ids 0 (padding) and 1 (unknown) included. TensorFlow refuses ids from there on on a CPU alone.
        dim: d.
    """

    def __init__(self, num_rows: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_rows = num_rows
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Create the table."""
        self.table = self.add_weight(
            name="table",
            shape=(self.num_rows, self.dim),
            # Rows of length one on average. Xavier-normal, as in the authors' other code, gives rows of a length that
            # shrinks with the table, and takes far more steps to learn from (docs/experiments/settings_search.md).
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            autocast=False,
        )

    def call(self, *ids: tf.Tensor) -> Lookup:
        """Gathers the rows of all tensors of ids, integer of any shapes, together."""
        sizes = [tf.size(one) for one in ids]
        distinct, flat = tf.unique(tf.concat([tf.reshape(one, [-1]) for one in ids], 0))
        rows = tf.gather(self.table.value, distinct)
        rows *= tf.cast(distinct != PADDING_ID, rows.dtype)[:, None]
        positions = [tf.reshape(part, tf.shape(one)) for part, one in zip(tf.split(flat, sizes), ids, strict=True)]
        return Lookup(rows, positions)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "num_rows": self.num_rows, "dim": self.dim}


def take(rows: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """`rows[positions]`: `[U, d]` and `[...]` give `[..., d]`."""

    # TensorFlow's own gradient is an IndexedSlices that it then turns dense with a warning.
    @tf.custom_gradient
    def gather(rows: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            flat = tf.reshape(upstream, [-1, rows.shape[-1]])
            return tf.math.unsorted_segment_sum(flat, tf.reshape(positions, [-1]), tf.shape(rows)[0])

        return tf.gather(rows, positions), gradient

    return gather(rows)


def take_mean(rows: tf.Tensor, positions: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Mean over the last axis of the rows of the ids that are not padding; zero where all are.

    Only real ids are gathered: most words and clicked items of a padded batch are padding.

    Args:
        rows: `[U, d]`.
        positions, ids: `[B, Ls, W]`.

    Returns:
        `[B, Ls, d]`.
    """
    shape = tf.shape(ids)
    lists = shape[0] * shape[1]
    real = tf.where(tf.reshape(ids, [-1]) != PADDING_ID)[:, 0]
    # One more list, with one row: of no row at all TensorFlow's gradient is memory that nobody has written.
    means = tf.sparse.segment_mean(
        rows,
        tf.concat([tf.gather(tf.reshape(positions, [-1]), real), [0]], 0),
        tf.concat([tf.cast(real, tf.int32) // shape[-1], [lists]], 0),
        num_segments=lists + 1,
    )
    width = rows.shape[-1]
    return shaped(tf.slice(means, [0, 0], [lists, width]), [*sizes(ids)[:2], width])


@keras.saving.register_keras_serializable(package="lcr_ser")
class PositionEmbedding(keras.layers.Layer):
    """Adds learned positions that count from the newest event back: E + P (section 3.2.2).

    The newest event is the last column, so that padding more on the left changes nothing.

    Args:
        length: Lr or Ls, the longest history.
        dim: d.
    """

    def __init__(self, length: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Create the positions."""
        self.positions = self.add_weight(name="positions", shape=(self.length, self.dim), initializer="glorot_normal")

    def call(self, events: tf.Tensor) -> tf.Tensor:
        """Add the last L positions to events `[B, L, d]`.

        Raises:
            ValueError: if L is known and above `length`.
        """
        if (events.shape[1] or 0) > self.length:
            raise ValueError(f"`events` should hold at most {self.length} columns. Received: {events.shape[1]}.")
        return events + self.positions[self.length - sizes(events)[1] :]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "length": self.length, "dim": self.dim}
