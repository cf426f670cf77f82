"""The first stage of a recommendation: items whose vectors have the largest inner products with a request's."""

from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import FIRST_KNOWN_ID, PADDING_ID

BLOCK = 2**15
"""Items at a time: at a width of 64 their vectors take 8 MB, which the allocator keeps for the next block."""


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
        """The best items of each query `[B, d]`, scores and ids `[B, k]`, best first.

        Where there are fewer items than k, the last scores are minus infinity, of the padding id.
        """
        wanted = self._k if k is None else k
        rows = self._candidates.shape[0]
        size = min(BLOCK, rows - FIRST_KNOWN_ID)
        batch = tf.shape(queries)[0]

        def with_block(begin: tf.Tensor, best: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            own = begin + tf.range(size)
            # Gathered and not sliced: to be sliced a table that lookups read too is copied as a whole, each time.
            block = tf.gather(self._candidates, tf.minimum(own, rows - 1))
            scores = tf.where(own < rows, self._compute_score(queries, block), -float("inf"))
            scores, places = tf.math.top_k(scores, tf.minimum(wanted, size))
            best, at = tf.math.top_k(tf.concat([best, scores], 1), wanted)
            return begin + size, best, tf.gather(tf.concat([ids, begin + places], 1), at, batch_dims=1)

        none = tf.fill([batch, wanted], -float("inf")), tf.fill([batch, wanted], PADDING_ID)
        open_width = tf.TensorShape([queries.shape[0], None])
        _, best, ids = tf.while_loop(
            lambda begin, *_: begin < rows,
            with_block,
            (tf.constant(FIRST_KNOWN_ID), *none),
            shape_invariants=(tf.TensorShape([]), open_width, open_width),
            parallel_iterations=1,  # at once, blocks would take the memory of all
        )
        return best, tf.where(best > -float("inf"), ids, PADDING_ID)

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
        best, places = tf.math.top_k(tf.where(out, -float("inf"), scores), self._k)
        ids = tf.gather(ids, places, batch_dims=1)
        return tf.where(best > -float("inf"), ids, PADDING_ID)
