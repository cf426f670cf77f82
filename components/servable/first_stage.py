"""The first stage of a recommendation: items whose vectors have the largest inner products with a request's."""

from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import FIRST_KNOWN_ID, PADDING_ID

BLOCK = 2**18
"""Items at a time: their scores for 24 requests take 25 MB, whatever the catalogue."""


class TableIndex(tfrs.layers.factorized_top_k.BruteForce):
    """`BruteForce` over a table that the model holds already, in blocks; the index of the library is a copy.

    Args:
        table: a row for each id, `[num_items, d]`; those of padding and of the unknown item are never found.
        k: how many to find.
    """

    def __init__(self, table: tf.Variable, k: int) -> None:
        super().__init__(k=k)
        self._candidates = table

    def index(self, candidates: tf.Tensor, identifiers: tf.Tensor | None = None) -> "TableIndex":
        """Refuses another table."""
        raise NotImplementedError("`TableIndex` reads the table that it was made of. Make another one.")

    def call(self, queries: tf.Tensor, k: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The best items of each query `[B, d]`, scores and ids `[B, k]`, best first."""
        wanted = self._k if k is None else k
        rows = self._candidates.shape[0]
        found: list[tuple[tf.Tensor, tf.Tensor]] = []
        for begin in range(FIRST_KNOWN_ID, rows, BLOCK):
            size = min(BLOCK, rows - begin)
            # One block after the other: at once they would take the memory of all.
            with tf.control_dependencies([found[-1][0]] if found else []):
                # Not read and sliced: once it was gathered from, as embeddings are, TensorFlow copies a variable whole
                # at each read (copy-on-read), 1.3 GB a block at 5,000,000 items of d = 64.
                block = tf.gather(self._candidates, tf.range(begin, begin + size))
            scores, places = tf.math.top_k(self._compute_score(queries, block), tf.minimum(wanted, size))
            found.append((scores, places + begin))
        if len(found) == 1:
            return found[0]
        scores, ids = (tf.concat(parts, 1) for parts in zip(*found, strict=True))
        best, places = tf.math.top_k(scores, tf.minimum(wanted, tf.shape(scores)[1]))
        return best, tf.gather(ids, places, batch_dims=1)

    def search(self, queries: tf.Tensor, left_out: tf.Tensor) -> tf.Tensor:
        """Ids of the best k items that are not left out, `[B, k]`, best first; padding where there are fewer.

        Args:
            queries: `[B, d]`.
            left_out: ids, `[B, n]`; padding leaves nothing out.
        """
        scores, ids = self(queries, k=self._k + tf.shape(left_out)[1])
        # Sorted, to be looked up in: compared each with each they would take (k + n) * n cells. Padding is never found.
        ordered = tf.sort(tf.pad(left_out, [[0, 0], [0, 1]], constant_values=PADDING_ID), 1)
        at = tf.minimum(tf.searchsorted(ordered, ids), tf.shape(ordered)[1] - 1)
        out = tf.gather(ordered, at, batch_dims=1) == ids
        scores = tf.pad(tf.where(out, -float("inf"), scores), [[0, 0], [0, self._k]], constant_values=-float("inf"))
        best, places = tf.math.top_k(scores, self._k)
        ids = tf.gather(tf.pad(ids, [[0, 0], [0, self._k]]), places, batch_dims=1)
        return tf.where(best > -float("inf"), ids, PADDING_ID)
