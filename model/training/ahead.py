"""Batches drawn on the host while the steps before theirs are taken."""

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import tensorflow as tf

from model.data.columns import Array
from model.ops.placement import HOST
from model.ranker import Logs

AHEAD = min(8, max(2, (os.cpu_count() or 2) // 2))
"""Batches drawn before they are asked for, side by side: a core draws some 70,000 rows a second, and a GPU learns from
more."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step in two halves, of which the first looks at no weight.

    Attributes:
        draw: a function of the step, int64 scalar, and of positions of targets, int32: what there is to learn from,
            tensors in any structure, on the host. The same arguments give the same.
        learn: a function of that: changes the model and gives scalars to log.
    """

    draw: Callable[..., Any]
    learn: Callable[[Any], Logs]

    def __call__(self, number: tf.Tensor, *positions: tf.Tensor) -> Logs:
        """Both halves, one after the other."""
        return self.learn(self.draw(number, *positions))


class DrawnAhead:
    """Takes steps whose batches are drawn in other threads: the same batches, whatever is drawn first.

    Args:
        step: the two halves.
        positions: gives for a step, counted from 0, the positions of its targets; it is called in those threads.
    """

    def __init__(self, step: Step, positions: Callable[[int], tuple[Array, ...]]) -> None:
        self._step = step
        self._positions = positions
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="draw")
        self._drawn: dict[int, Future[Any]] = {}

    def __call__(self, number: int) -> Logs:
        """Take a step, while batches are drawn for those that follow it."""
        wanted = range(number, number + 1 + AHEAD)
        self._drawn = {one: self._drawn.get(one) or self._threads.submit(self._draw, one) for one in wanted}
        return self._step.learn(self._drawn.pop(number).result())

    def _draw(self, number: int) -> Any:
        with tf.device(HOST):  # a thread has a device scope of its own
            return self._step.draw(
                tf.constant(number, tf.int64), *(tf.constant(one) for one in self._positions(number))
            )
