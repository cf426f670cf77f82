"""The order in which training targets are visited."""

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
        self._epoch, self._order = -1, targets
        self.batch_size = min(batch_size, len(targets))
        self.steps_per_epoch = len(targets) // self.batch_size

    def batch(self, step: int) -> Array:
        """Positions for a step, counted from 0: `[B]`."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self._targets)
            self._epoch = epoch
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]
