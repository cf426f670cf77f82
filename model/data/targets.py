"""The order in which training targets are visited."""

import functools

import numpy as np

from model.data.columns import Array


class TargetOrder:
    """Batches of training targets, shuffled over the whole log anew in each epoch.

    The batch of a step depends only on the arguments and the step, so that a resumed training sees the same.
    What is left over at the end of an epoch is dropped: batches keep one shape.

    Args:
        targets: positions, `[T]`.
        batch_size: B; T if there are fewer targets.
        seed: of the shuffles.

    Raises:
        ValueError: if there is no target.
    """

    def __init__(self, targets: Array, batch_size: int, seed: int) -> None:
        if not len(targets):
            raise ValueError("`targets` should hold at least one training target. Received: none.")
        self._targets = targets
        self._seed = seed
        self._order = functools.lru_cache(maxsize=2)(self._shuffled)
        self.batch_size = min(batch_size, len(targets))
        self.steps_per_epoch = len(targets) // self.batch_size

    def batch(self, step: int) -> Array:
        """Positions for a step, counted from 0: `[B]`."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def _shuffled(self, epoch: int) -> Array:
        return np.random.default_rng([self._seed, epoch]).permutation(self._targets)


class WorkerTargets:
    """A worker's rows of every batch: its own targets, over and over, shuffled anew each time.

    Workers draw side by side, each from its own part of the log, and a batch holds of every part as many targets as
    its size allows. A worker is not held up by the end of an epoch, which is a matter of all of them.

    Args:
        targets: positions in the worker's part of the log, `[T]`.
        rows: of a batch that are the worker's.
        seed: of the shuffles, the worker's own.
    """

    def __init__(self, targets: Array, rows: int, seed: int) -> None:
        self._targets = targets
        self._rows = rows
        self._seed = seed
        self._order = functools.lru_cache(maxsize=2)(self._shuffled)

    def batch(self, step: int) -> Array:
        """Positions for a step, counted from 0: `[rows]`."""
        turns, places = np.divmod(np.arange(step * self._rows, (step + 1) * self._rows), len(self._targets))
        return np.concatenate([self._order(turn)[places[turns == turn]] for turn in np.unique(turns).tolist()])

    def _shuffled(self, turn: int) -> Array:
        return np.random.default_rng([self._seed, turn]).permutation(self._targets)


def rows_of_workers(targets: Array, batch_size: int, replicas: int) -> Array:
    """How a batch is dealt out to workers: by the targets that each has, in multiples of its replicas.

    Args:
        targets: of each worker, `[W]`, at least one each.
        batch_size: rows of a batch at the most, unless every replica needs one.
        replicas: of one worker.

    Returns:
        Rows of each worker, int64 `[W]`.
    """
    size = min(batch_size, int(targets.sum())) // replicas
    exact = size * targets / targets.sum()
    rows = np.floor(exact).astype(np.int64)
    # What is left goes to those that were rounded down the most.
    rows[np.argsort(rows - exact, kind="stable")[: size - rows.sum()]] += 1
    return np.maximum(rows, 1) * replicas
