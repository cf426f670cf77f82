"""Replicas that train in step under any `tf.distribute.Strategy`, and the workers that they run on.

A worker is a process: it holds its own part of the log, and draws its own part of every batch from it. A replica is a
device of a worker, and works on its part of the worker's rows. Without a strategy there is one of each, and nothing
here does anything.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.data.columns import Part
from model.data.timelines import Timelines
from model.ranker import WHOLE, Share

Value = TypeVar("Value")

_JOBS = ("chief", "worker")


def count() -> int:
    """Replicas that train in step, on all workers; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def worker() -> Part:
    """Which of the workers this is; the first one is the chief."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return Part(0, 1)
    jobs = resolver.cluster_spec().as_dict()
    tasks = [(job, index) for job in _JOBS for index in range(len(jobs.get(job, ())))]
    return Part(tasks.index((resolver.task_type, resolver.task_id)), len(tasks))


def is_chief() -> bool:
    """Whether this process writes what is kept."""
    return worker().index == 0


def local() -> int:
    """Replicas of one worker."""
    return count() // worker().count


def own_seed(seed: int) -> int:
    """A seed of this worker's own; the first worker's is the seed itself, which is below 2^32."""
    return seed + (worker().index << 32)


def parts(batch: Value) -> Value:
    """The rows of a worker's batch, `[B, ...]` in any structure, that this replica works on; B is n times `local()`."""
    return tf.nest.map_structure(_part, batch)


def _part(tensor: tf.Tensor) -> tf.Tensor:
    replicas = local()
    if replicas == 1:
        return tensor
    rows, rank = (tensor.shape[0] or tf.shape(tensor)[0]) // replicas, len(tensor.shape)
    # Of a known shape, whether the replica's number is a number or a tensor.
    return tf.slice(tensor, [_local_id() * rows] + [0] * (rank - 1), [rows] + [-1] * (rank - 1))


def share(weights: tf.Tensor) -> Share:
    """What part of the batch of all replicas this one's is.

    Args:
        weights: of its pairs, `[B, 1 + n]`.
    """
    if count() == 1:
        return WHOLE
    pairs, rows = tf.reduce_sum(weights), tf.cast(tf.shape(weights)[0], weights.dtype)
    of_all = total(tf.stack([pairs, rows]))
    return Share(pairs / of_all[0], rows / of_all[1])


def total(values: Value) -> Value:
    """Sum over all replicas: of tensors, or of `tf.IndexedSlices`, in any structure."""
    if count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def compiled(function: Callable[..., Value]) -> Callable[..., Value]:
    """A compiled function; for several replicas it is part of the step that `on_all` compiles.

    They meet in the middle of a step to sum their gradients, which TensorFlow allows in the outermost function alone.
    """
    return tf.function(function, autograph=False) if count() == 1 else function


def on_all(step: Callable[..., Value]) -> Callable[..., Value]:
    """A step that runs on all replicas of this worker with the same arguments, and gives what the first one gives."""
    strategy = tf.distribute.get_strategy()
    if count() == 1:
        return step

    @tf.function(autograph=False)
    def run(*args: tf.Tensor) -> Value:
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], strategy.run(step, args=args)
        )

    return run


def sum_of_workers(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Sum over all workers of arrays of one shape; all get the same bits."""
    summed = np.asarray(array)
    if worker().count == 1:
        return summed
    return _adding(tf.distribute.get_strategy())(tf.constant(summed)).numpy()


def of_workers(array: npt.ArrayLike) -> list[npt.NDArray[Any]]:
    """The arrays `[n]` of all workers, in their order; n may differ."""
    own, (index, workers) = np.asarray(array), worker()
    if workers == 1:
        return [own]
    lengths = sum_of_workers(np.eye(workers, dtype=np.int64)[index] * len(own))
    padded = np.zeros((workers, lengths.max()), own.dtype)
    padded[index, : len(own)] = own
    return [row[:length] for row, length in zip(sum_of_workers(padded), lengths, strict=True)]


def item_clicks(timelines: Timelines, num_items: int) -> npt.NDArray[Any] | None:
    """Clicks of every item in recommendations, by all workers' parts, int64 `[num_items]`; None for one worker."""
    if worker().count == 1:
        return None
    return sum_of_workers(np.bincount(timelines.rec_items, minlength=num_items))


def wait_for_all() -> None:
    """Wait until every worker has come as far."""
    sum_of_workers(np.ones(1))


def require_each(counts: npt.NDArray[Any], what: str) -> None:
    """Refuse workers without work: of such a part nothing can be averaged. All workers refuse together.

    Args:
        counts: of each worker.
        what: is counted.

    Raises:
        ValueError: if one has none.
    """
    if len(counts) > 1 and not counts.all():
        raise ValueError(
            f"Every worker should have {what} in its part of the log. Received: {counts.tolist()}. Use fewer workers."
        )


def agreed(texts: Iterable[str], own: str) -> str:
    """A name for what all workers do together, from what they must have in common and from what each has of its own.

    Args:
        texts: the same on every worker.
        own: this worker's part.

    Returns:
        `own`, where there is one replica; else 32 hexadecimal digits, as its draws depend on their number.

    Raises:
        ValueError: on every worker, if one has other `texts`.
    """
    if count() == 1:
        return own
    digests = _digest(f"{count()} replicas", *texts) + _digest(own)
    of_all = of_workers(np.frombuffer(digests, np.int32))
    commons, owns = zip(*((row[:8].tobytes(), row[8:].tobytes()) for row in of_all), strict=True)
    if len(set(commons)) > 1:
        differing = [index for index, one in enumerate(commons) if one != commons[0]]
        raise ValueError(
            f"All workers should train with the same settings, code and files. Received: others on {differing} than "
            "on 0."
        )
    return hashlib.sha256(commons[0] + b"".join(owns)).hexdigest()[:32]


def own_dir(shared: str) -> str:
    """Where this worker writes what belongs to a directory: the chief there, the others to scratch space."""
    return shared if is_chief() else os.path.join(_scratch().name, _digest(shared).hex()[:16])


@functools.cache
def _adding(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """Sums of workers under a strategy, whose scope it is called in: compiled once for each shape."""

    def add(values: tf.Tensor) -> tf.Tensor:
        # One replica speaks for its worker.
        return total(values * tf.cast(_local_id() == 0, values.dtype))

    return on_all(add)


def _local_id() -> int:
    return tf.distribute.get_replica_context().replica_id_in_sync_group - worker().index * local()


def _digest(*texts: str) -> bytes:
    return hashlib.sha256("\0".join(texts).encode()).digest()


@functools.cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """Deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="lcr_ser_worker_")
