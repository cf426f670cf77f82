"""Adam or Adagrad for dense weights, and the same row by row for embedding tables, in one object."""

from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf


def merge_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Sum the slices of a row that occurs more than once."""
    rows, which = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, which, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


class SplitOptimizer(tf.Module):
    """An optimiser whose cost does not depend on the size of the tables.

    Dense weights are left to an optimiser of Keras. Of a table only the rows in the gradient are read and written;
    gradients of a row that occurs more than once are summed first.

    Args:
        tables: embedding tables `[rows, d]`; may be empty.
        dense: all other weights.
        learning_rate: of both.

    Its variables exist after construction; `tf.train.Checkpoint(optimizer=...)` saves and restores them.
    """

    def __init__(self, tables: Sequence[keras.Variable], dense: Sequence[keras.Variable], learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.tables, self.dense = tuple(tables), tuple(dense)

    @property
    def sources(self) -> list[tf.Variable]:
        """What to differentiate with respect to, in the order that `apply` takes gradients."""
        return [variable.value for variable in (*self.tables, *self.dense)]

    @property
    def of_dense(self) -> keras.optimizers.Optimizer:
        """The optimiser of the dense weights."""
        raise NotImplementedError

    def moments(self, index: int) -> tuple[tf.Variable, ...]:
        """What is kept of each row of a table, `[rows, d]` each."""
        raise NotImplementedError

    def update_rows(self, table: tf.Variable, *moments_and_gradient: tf.Variable | tf.IndexedSlices) -> None:
        """Take a step with the rows in a gradient; a row may occur more than once.

        Args:
            table: changed in place.
            moments_and_gradient: its `moments`, changed in place, and the gradient.
        """
        raise NotImplementedError

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> None:
        """Take one step.

        Args:
            gradients: one for each of `sources`; None leaves a weight as it is. Under a `tf.distribute.Strategy`
                each replica gives its own, and the step is taken with their sum.

        Raises:
            ValueError: if the gradient of a table is dense.
        """
        for index, gradient in enumerate(gradients[: len(self.tables)]):
            if gradient is not None:
                self._apply_to_table(index, gradient)
        pairs = zip(gradients[len(self.tables) :], self.dense, strict=True)
        self.of_dense.apply_gradients([(gradient, weight) for gradient, weight in pairs if gradient is not None])

    def _apply_to_table(self, index: int, gradient: tf.IndexedSlices) -> None:
        if not isinstance(gradient, tf.IndexedSlices):
            raise ValueError(f"The gradient of a table should be tf.IndexedSlices. Received: {type(gradient)}.")
        table, moments = self.tables[index].value, self.moments(index)
        if not tf.distribute.has_strategy():
            self.update_rows(table, *moments, gradient)
            return
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradient)

        def update(strategy: tf.distribute.Strategy, gradient: tf.IndexedSlices) -> None:
            strategy.extended.update(table, self.update_rows, args=(*moments, gradient), group=False)

        tf.distribute.get_replica_context().merge_call(update, args=(summed,))


class SplitAdam(SplitOptimizer):
    """Adam, row by row for tables.

    It is not Adam to the bit: the moments of a row decay only when the row is looked up, and their bias correction
    counts steps, not the row's visits, which was tried and was worse (docs/training.md).

    Args:
        tables, dense, learning_rate: of `SplitOptimizer`.
        beta_1, beta_2, epsilon: as in Adam.
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
        super().__init__(tables, dense, learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.adam = keras.optimizers.Adam(learning_rate, beta_1, beta_2, epsilon)
        self.adam.build(list(self.dense))
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.first = [tf.Variable(tf.zeros_like(table.value), trainable=False) for table in self.tables]
        self.second = [tf.Variable(tf.zeros_like(table.value), trainable=False) for table in self.tables]

    @property
    def of_dense(self) -> keras.optimizers.Optimizer:
        """Adam."""
        return self.adam

    def moments(self, index: int) -> tuple[tf.Variable, ...]:
        """The means of gradients and of their squares."""
        return self.first[index], self.second[index]

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> None:
        """Take one step, as `SplitOptimizer.apply`."""
        self.step.assign_add(1)
        super().apply(gradients)

    def update_rows(self, table: tf.Variable, *moments_and_gradient: tf.Variable | tf.IndexedSlices) -> None:
        """Adam's step."""
        first, second, gradient = moments_and_gradient
        gradient = merge_rows(gradient)
        rows, summed = gradient.indices, gradient.values
        mean = self.beta_1 * tf.gather(first, rows) + (1.0 - self.beta_1) * summed
        square = self.beta_2 * tf.gather(second, rows) + (1.0 - self.beta_2) * tf.square(summed)
        first.scatter_update(tf.IndexedSlices(mean, rows))
        second.scatter_update(tf.IndexedSlices(square, rows))
        step = tf.cast(self.step, tf.float32)
        rate = self.learning_rate * tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        table.scatter_sub(tf.IndexedSlices(rate * mean / (tf.sqrt(square) + self.epsilon), rows))


class SplitAdagrad(SplitOptimizer):
    """Adagrad (Duchi et al., JMLR 2011), row by row for tables, which changes nothing about it.

    The sum of squares begins at 0, and epsilon is within the root, as in the code of GRU4Rec's author.

    Args:
        tables, dense, learning_rate: of `SplitOptimizer`.
        epsilon: added to the sum of squares.
    """

    def __init__(
        self,
        tables: Sequence[keras.Variable],
        dense: Sequence[keras.Variable],
        learning_rate: float,
        *,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__(tables, dense, learning_rate)
        self.epsilon = epsilon
        self.adagrad = keras.optimizers.Adagrad(learning_rate, initial_accumulator_value=0.0, epsilon=epsilon)
        self.adagrad.build(list(self.dense))
        self.squares = [tf.Variable(tf.zeros_like(table.value), trainable=False) for table in self.tables]

    @property
    def of_dense(self) -> keras.optimizers.Optimizer:
        """Adagrad."""
        return self.adagrad

    def moments(self, index: int) -> tuple[tf.Variable, ...]:
        """The sum of squared gradients."""
        return (self.squares[index],)

    def update_rows(self, table: tf.Variable, *moments_and_gradient: tf.Variable | tf.IndexedSlices) -> None:
        """Adagrad's step."""
        squares, gradient = moments_and_gradient
        gradient = merge_rows(gradient)
        rows, summed = gradient.indices, gradient.values
        square = tf.gather(squares, rows) + tf.square(summed)
        squares.scatter_update(tf.IndexedSlices(square, rows))
        table.scatter_sub(tf.IndexedSlices(self.learning_rate * summed * tf.math.rsqrt(square + self.epsilon), rows))


def make_optimizer(
    name: Literal["adam", "adagrad"],
    tables: Sequence[keras.Variable],
    dense: Sequence[keras.Variable],
    learning_rate: float,
) -> SplitOptimizer:
    """The optimiser of a name."""
    return (SplitAdagrad if name == "adagrad" else SplitAdam)(tables, dense, learning_rate)
