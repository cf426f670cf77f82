"""Adam or Adagrad for dense weights, and the same row by row for embedding tables, in one object."""

from collections.abc import Callable, Sequence
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

    Of a table only the rows in the gradient are read and written; gradients of a row that occurs more than once are
    summed first. A dense weight is changed as a whole, by few operations: a small one takes as long as its launches,
    which is most of a step on a GPU.

    Args:
        tables: embedding tables `[rows, d]`; may be empty.
        dense: all other weights.
        learning_rate: of both.
        kept: how many values are kept of each weight beside it, its moments.

    Its variables exist after construction; `tf.train.Checkpoint(optimizer=...)` saves and restores them.
    """

    def __init__(
        self, tables: Sequence[keras.Variable], dense: Sequence[keras.Variable], learning_rate: float, kept: int
    ) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.tables, self.dense = tuple(tables), tuple(dense)
        self.moments = [
            [tf.Variable(tf.zeros_like(weight.value), trainable=False) for _ in range(kept)]
            for weight in (*self.tables, *self.dense)
        ]

    @property
    def sources(self) -> list[tf.Variable]:
        """What to differentiate with respect to, in the order that `apply` takes gradients."""
        return [variable.value for variable in (*self.tables, *self.dense)]

    def of_step(self) -> tuple[tf.Tensor, ...]:
        """Scalars that all updates of one step share, computed once."""
        return ()

    def update_rows(self, table: tf.Variable, *args: tf.Variable | tf.Tensor | tf.IndexedSlices) -> None:
        """Take a step with the rows in a gradient; a row may occur more than once.

        Args:
            table: changed in place.
            args: its moments `[rows, d]`, changed in place; what `of_step` gave; the gradient.
        """
        raise NotImplementedError

    def update_dense(self, weight: tf.Variable, *args: tf.Variable | tf.Tensor) -> None:
        """Take a step with a whole weight, as `update_rows`."""
        raise NotImplementedError

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> None:
        """Take one step.

        Args:
            gradients: one for each of `sources`; None leaves a weight as it is. Under a `tf.distribute.Strategy`
                each replica gives its own, and the step is taken with their sum.

        Raises:
            ValueError: if the gradient of a table is dense.
        """
        for gradient in gradients[: len(self.tables)]:
            if gradient is not None and not isinstance(gradient, tf.IndexedSlices):
                raise ValueError(f"The gradient of a table should be tf.IndexedSlices. Received: {type(gradient)}.")
        given = [index for index, gradient in enumerate(gradients) if gradient is not None]
        summed, of_step = [gradients[index] for index in given], self.of_step()
        replica = tf.distribute.get_replica_context() if tf.distribute.has_strategy() else None
        if replica and given:
            summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, summed)
        for index, gradient in zip(given, summed, strict=True):
            update = self.update_rows if index < len(self.tables) else self.update_dense
            _update(replica, update, self.sources[index], self.moments[index], (*of_step, gradient))


def _update(
    replica: tf.distribute.ReplicaContext | None,
    update: Callable[..., None],
    weight: tf.Variable,
    moments: Sequence[tf.Variable],
    args: tuple[tf.Tensor | tf.IndexedSlices, ...],
) -> None:
    """Call an update; of several replicas, on each one's own copy."""
    if replica is None:
        update(weight, *moments, *args)
        return

    def on_each(strategy: tf.distribute.Strategy, *args: tf.Tensor | tf.IndexedSlices) -> None:
        strategy.extended.update(weight, update, args=(*moments, *args), group=False)

    replica.merge_call(on_each, args=args)


class SplitAdam(SplitOptimizer):
    """Adam, row by row for tables, and in one operation for each dense weight.

    For tables it is not Adam to the bit: the moments of a row decay only when the row is looked up, and their bias
    correction counts steps, not the row's visits, which was tried and was worse (docs/training.md).

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
        super().__init__(tables, dense, learning_rate, kept=2)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def apply(self, gradients: Sequence[tf.Tensor | tf.IndexedSlices | None]) -> None:
        """Take one step, as `SplitOptimizer.apply`."""
        self.step.assign_add(1)
        super().apply(gradients)

    def of_step(self) -> tuple[tf.Tensor, ...]:
        """Both betas to the power of the number of steps."""
        step = tf.cast(self.step, tf.float32)
        return self.beta_1**step, self.beta_2**step

    def update_rows(self, table: tf.Variable, *args: tf.Variable | tf.Tensor | tf.IndexedSlices) -> None:
        """Adam's step."""
        first, second, power_1, power_2, gradient = args
        gradient = merge_rows(gradient)
        rows, summed = gradient.indices, gradient.values
        mean = self.beta_1 * tf.gather(first, rows) + (1.0 - self.beta_1) * summed
        square = self.beta_2 * tf.gather(second, rows) + (1.0 - self.beta_2) * tf.square(summed)
        first.scatter_update(tf.IndexedSlices(mean, rows))
        second.scatter_update(tf.IndexedSlices(square, rows))
        rate = self.learning_rate * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
        table.scatter_sub(tf.IndexedSlices(rate * mean / (tf.sqrt(square) + self.epsilon), rows))

    def update_dense(self, weight: tf.Variable, *args: tf.Variable | tf.Tensor) -> None:
        """The same, by TensorFlow's kernel."""
        first, second, power_1, power_2, gradient = args
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=self.learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


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
        super().__init__(tables, dense, learning_rate, kept=1)
        self.epsilon = epsilon

    def update_rows(self, table: tf.Variable, *args: tf.Variable | tf.Tensor | tf.IndexedSlices) -> None:
        """Adagrad's step."""
        squares, gradient = args
        gradient = merge_rows(gradient)
        rows, summed = gradient.indices, gradient.values
        square = tf.gather(squares, rows) + tf.square(summed)
        squares.scatter_update(tf.IndexedSlices(square, rows))
        table.scatter_sub(tf.IndexedSlices(self._change(summed, square), rows))

    def update_dense(self, weight: tf.Variable, *args: tf.Variable | tf.Tensor) -> None:
        """The same of all rows."""
        squares, gradient = args
        weight.assign_sub(self._change(gradient, squares.assign_add(tf.square(gradient))))

    def _change(self, gradient: tf.Tensor, squares: tf.Tensor) -> tf.Tensor:
        return self.learning_rate * gradient * tf.math.rsqrt(squares + self.epsilon)


def make_optimizer(
    name: Literal["adam", "adagrad"],
    tables: Sequence[keras.Variable],
    dense: Sequence[keras.Variable],
    learning_rate: float,
) -> SplitOptimizer:
    """The optimiser of a name."""
    return (SplitAdagrad if name == "adagrad" else SplitAdam)(tables, dense, learning_rate)
