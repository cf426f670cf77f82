"""A replica's part of a batch, and sums over all replicas, under any `tf.distribute.Strategy`."""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

Value = TypeVar("Value")


def count() -> int:
    """Replicas that train in step; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def part(tensor: tf.Tensor) -> tf.Tensor:
    """The rows of a batch `[B, ...]` that this replica works on, B being a multiple of the replicas."""
    replicas = count()
    if replicas == 1:
        return tensor
    rows = tf.shape(tensor)[0] // replicas
    begin = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
    return tensor[begin : begin + rows]


def total(values: Value) -> Value:
    """Sum over all replicas: of tensors, or of `tf.IndexedSlices`, in any structure."""
    if count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def on_all(step: Callable[..., Value]) -> Callable[..., Value]:
    """A step that runs on all replicas with the same arguments, and gives what the first of them gives."""
    strategy = tf.distribute.get_strategy()
    if count() == 1:
        return step

    @tf.function(autograph=False)
    def run(*args: tf.Tensor) -> Value:
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], strategy.run(step, args=args)
        )

    return run
