"""Adam for dense weights and row-wise lazy Adam for embedding tables, in one object."""

from collections.abc import Sequence

import keras
import tensorflow as tf


def merge_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Sum the slices of a row that occurs more than once."""
    rows, which = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, which, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


class SplitAdam(tf.Module):
    """Adam whose cost does not depend on the size of the tables.

    Dense weights are left to `keras.optimizers.Adam`. Of a table only the rows in the gradient are read and
    written; gradients of a row that occurs more than once are summed first. It is not Adam to the bit: the moments
    of a row decay only when the row is looked up, and their bias correction counts steps, not the row's visits, which
    was tried and was worse (docs/training.md).

    Args:
        tables: embedding tables `[rows, d]`; may be empty.
        dense: all other weights.
        learning_rate: of both.
        beta_1, beta_2, epsilon: as in Adam.

    Its variables exist after construction; `tf.train.Checkpoint(optimizer=...)` saves and restores them.
    """

    def __init__(
        self,
        tables: Sequence[keras.Variable],
        dense: Sequence[keras.Variable],
        learning_rate: float,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__()
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.tables, self.dense = tuple(tables), tuple(dense)
        self.adam = keras.optimizers.Adam(learning_rate, beta_1, beta_2, epsilon)
        self.adam.build(list(self.dense))
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.first = [tf.Variable(tf.zeros_like(table.value), trainable=False) for table in self.tables]
        self.second = [tf.Variable(tf.zeros_like(table.value), trainable=False) for table in self.tables]

    @property
    def sources(self) -> list[tf.Variable]:
        """What to differentiate with respect to, in the order that `apply` takes gradients."""
        return [variable.value for variable in (*self.tables, *self.dense)]

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> None:
        """Take one step.

        Args:
            gradients: one for each of `sources`; None leaves a weight as it is. Under a `tf.distribute.Strategy`
                each replica gives its own, and the step is taken with their sum.

        Raises:
            ValueError: if the gradient of a table is dense.
        """
        self.step.assign_add(1)
        for index, gradient in enumerate(gradients[: len(self.tables)]):
            if gradient is not None:
                self._update_rows(index, gradient)
        pairs = zip(gradients[len(self.tables) :], self.dense, strict=True)
        self.adam.apply_gradients([(gradient, weight) for gradient, weight in pairs if gradient is not None])

    def _update_rows(self, index: int, gradient: tf.IndexedSlices) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            raise ValueError(f"The gradient of a table should be tf.IndexedSlices. Received: {type(gradient)}.")
        table, moments = self.tables[index].value, (self.first[index], self.second[index])
        if not tf.distribute.has_strategy():
            self._update_variables(table, *moments, gradient)
            return
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradient)

        def update(strategy: tf.distribute.Strategy, gradient: tf.IndexedSlices) -> None:
            strategy.extended.update(table, self._update_variables, args=(*moments, gradient), group=False)

        tf.distribute.get_replica_context().merge_call(update, args=(summed,))

    def _update_variables(
        self, table: tf.Variable, first: tf.Variable, second: tf.Variable, gradient: tf.IndexedSlices
    ) -> None:
        gradient = merge_rows(gradient)
        rows, summed = gradient.indices, gradient.values
        mean = self.beta_1 * tf.gather(first, rows) + (1.0 - self.beta_1) * summed
        square = self.beta_2 * tf.gather(second, rows) + (1.0 - self.beta_2) * tf.square(summed)
        first.scatter_update(tf.IndexedSlices(mean, rows))
        second.scatter_update(tf.IndexedSlices(square, rows))
        step = tf.cast(self.step, tf.float32)
        rate = self.learning_rate * tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        table.scatter_sub(tf.IndexedSlices(rate * mean / (tf.sqrt(square) + self.epsilon), rows))
