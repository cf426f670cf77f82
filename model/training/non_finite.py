"""Stops a training whose loss or weights are not finite, and writes down which rows of the log it was learning from."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.data.timelines import Timelines
from model.training import replicas

BatchIds = Callable[[int], dict[str, npt.NDArray[Any]]]


def batch_ids(timelines: Timelines, positions: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """What identifies the rows of a batch.

    Args:
        timelines: the training log.
        positions: of the batch's targets in `rec_items`, `[B]`.

    Returns:
        `positions`, and the ids of their `users` and `target_items` as the model knows them, `[B]` each: an id less
        `FIRST_KNOWN_ID` is a line of the vocabulary file, counted from 0. Several workers have a part of the log each:
        then `workers` says in whose part a position is.
    """
    index, workers = replicas.worker()
    rows = np.searchsorted(timelines.rec_offsets, positions, side="right") - 1
    return {
        "positions": positions,
        "users": timelines.users[rows],
        "target_items": timelines.rec_items[positions],
        **({"workers": np.full(len(positions), index)} if workers > 1 else {}),
    }


class FiniteGuard:
    """Looks at the numbers of a training.

    Args:
        stage: its name in messages and in the file's name.
        log_dir: where the file goes.
        ids: gives what `batch_ids` gives for the batch of a step, counted from 0.
        weights: what the training changes in the model.
    """

    def __init__(self, stage: str, log_dir: str, ids: BatchIds, weights: Sequence[keras.Variable]) -> None:
        self._stage = stage
        self._log_dir = log_dir
        self._ids = ids
        self._weights = weights

    def check_loss(self, done: int, logs: Mapping[str, tf.Tensor]) -> None:
        """Look at the loss of a step, counted from 1, among all that the step logged.

        Raises:
            FloatingPointError: if it is not finite; the message names the step and the file.
        """
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self._stop(done, logs, f"loss should be finite. Received: {loss}")

    def check_weights(self, done: int, logs: Mapping[str, tf.Tensor]) -> None:
        """Look at the weights after a step, counted from 1, which logged `logs`.

        A gradient can overflow where the loss did not, and only the next loss shows it. Weights are looked at before
        they are saved, so that the last checkpoint can always be gone on from.

        Raises:
            FloatingPointError: as above.
        """
        spoilt = [weight.path for weight in self._weights if not tf.reduce_all(tf.math.is_finite(weight.value))]
        if spoilt:
            self._stop(done, logs, f"weights should be finite. Received: NaN or infinity in {', '.join(spoilt[:3])}")

    def _stop(self, done: int, logs: Mapping[str, tf.Tensor], problem: str) -> None:
        # All workers come here together: their losses are one sum, and their weights the same.
        path = os.path.join(self._log_dir, f"non_finite_{self._stage}_step_{done}.json")
        step = done - 1
        report = {
            "stage": self._stage,
            "step": done,
            "problem": problem,
            "logs": {name: _number(value) for name, value in logs.items()},
            "batch": self._listed(step),
            # The loss of a batch is computed before its update: if the update before it overflowed, the batch to look
            # at is that one.
            "previous_batch": self._listed(step - 1),
        }
        tf.io.gfile.makedirs(self._log_dir)
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(json.dumps(report, indent=1, allow_nan=False) + "\n")
        raise FloatingPointError(
            f"The {self._stage} {problem} at step {done}. The ids of its batch and of the one before are in {path}: "
            "look at these rows of the log, or lower the learning rate."
        )

    def _listed(self, step: int) -> dict[str, list[int]] | None:
        if step < 0:
            return None
        return {name: np.concatenate(replicas.of_workers(ids)).tolist() for name, ids in self._ids(step).items()}


def _number(value: tf.Tensor) -> float | str:
    # JSON has no NaN and no infinity.
    number = float(value)
    return number if math.isfinite(number) else str(number)
