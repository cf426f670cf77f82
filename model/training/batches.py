"""Which targets a step learns from, whatever the number of workers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from model.data.columns import Array
from model.data.targets import TargetOrder, WorkerTargets, rows_of_workers
from model.training import replicas


class Batches(NamedTuple):
    """Batches of a training.

    Attributes:
        batch: gives for a step, counted from 0, the positions of this worker's rows, `[B]`.
        steps_per_epoch: steps in which as many targets are visited as there are in the whole log; the same on every
            worker, as they wait for each other in every step.
    """

    batch: Callable[[int], Array]
    steps_per_epoch: int


def batches(targets: Array, batch_size: int, seed: int) -> Batches:
    """Deal batches out to all workers.

    Args:
        targets: positions in this worker's part of the log, `[T]`.
        batch_size: rows of a batch, of all workers together.
        seed: of the shuffles.

    Raises:
        ValueError: if this worker, or any other, has no target.
    """
    of_each = np.concatenate(replicas.of_workers([len(targets)]))
    replicas.require_each(of_each, "training targets")
    if replicas.count() == 1 or not len(targets):
        order = TargetOrder(targets, batch_size, seed)
        return Batches(order.batch, order.steps_per_epoch)
    rows = rows_of_workers(of_each, batch_size, replicas.local())
    index, workers = replicas.worker()
    if workers == 1:
        order = TargetOrder(targets, int(rows[0]), seed)
        return Batches(order.batch, order.steps_per_epoch)
    own = WorkerTargets(targets, int(rows[index]), replicas.own_seed(seed))
    return Batches(own.batch, max(1, int(of_each.sum() // rows.sum())))
