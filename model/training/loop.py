"""The training loop of both stages: evaluation, early stopping, checkpoints, logs."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from model.config import MAIN_METRIC
from model.ops.placement import HOST
from model.training import replicas
from model.training.checkpoints import Checkpoints
from model.training.evaluation import Evaluator
from model.training.metrics_log import MetricsLog
from model.training.non_finite import BatchIds, FiniteGuard
from model.training.progress import Progress, ProgressReporter


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When a training evaluates, saves, logs and stops.

    Attributes:
        stage: its name in logs.
        total_steps: steps at the most; 0 evaluates the weights as they are and keeps them.
        eval_every, checkpoint_every: steps between evaluations and between checkpoints.
        patience: evaluations without a better NDCG@5 before it stops.
        evaluate_first: evaluate before the first step, so that the start can be the best.
        compiles: whether XLA compiles the first step.
        log_every: steps between rows of the log, besides one for the first step and one for every evaluation; the
            losses in between are looked at then.
    """

    stage: str
    total_steps: int
    eval_every: int
    checkpoint_every: int
    patience: int
    evaluate_first: bool
    compiles: bool = False
    log_every: int = 10


class TrainingLoop:
    """Runs steps until the schedule ends or NDCG@5 stops growing, then restores the best weights.

    Everything that later steps depend on is saved in `checkpoint_dir`; a loop that finds a checkpoint there
    goes on from it, to the same result as a loop that was never interrupted.

    Several workers run the same loop side by side and stop at the same step. The chief writes; what the others would
    write goes to scratch space, as writing a checkpoint may be something that all take part in.

    Args:
        schedule: when to do what.
        take_step: runs the step of a number counted from 0; gives scalars to log, `loss` among them.
        evaluator: gives the metrics of the current weights.
        state: all that a step changes besides the weights, by name.
        weights: what a step changes in the model, and what is kept of the best one.
        batch_ids: what identifies the rows of a step's batch, for the report on a loss that is not finite.
        checkpoint_dir, log_dir: of checkpoints, and of TensorBoard and `<stage>.csv`.
    """

    def __init__(
        self,
        schedule: Schedule,
        take_step: Callable[[int], dict[str, tf.Tensor]],
        evaluator: Evaluator,
        *,
        state: dict[str, Any],
        weights: Sequence[keras.Variable],
        batch_ids: BatchIds,
        checkpoint_dir: str,
        log_dir: str,
    ) -> None:
        self._schedule = schedule
        self._take_step = take_step
        self._evaluator = evaluator
        with tf.device(HOST):  # read in every step, which waits for a device
            self._step = tf.Variable(0, dtype=tf.int64)
            self._best_metric = tf.Variable(-1.0, dtype=tf.float64)
            self._last_metric = tf.Variable(-1.0, dtype=tf.float64)
            self._stale = tf.Variable(0, dtype=tf.int64)
        counters = {
            "loop_step": self._step,
            "best_metric": self._best_metric,
            "last_metric": self._last_metric,
            "stale": self._stale,
        }
        self._checkpoints = Checkpoints(checkpoint_dir, {**counters, **state}, weights)
        log_dir = replicas.own_dir(log_dir)
        self._log = MetricsLog(schedule.stage, log_dir)
        self._guard = FiniteGuard(schedule.stage, log_dir, batch_ids, weights)
        self._reporter = ProgressReporter()
        self._unread: list[tuple[int, dict[str, tf.Tensor]]] = []

    def run(self) -> None:
        """Trains from the latest checkpoint on.

        Raises:
            FloatingPointError: if the loss or a weight is not finite; the message names the step and a file with the
                ids of its batch.
            OSError: if a checkpoint or a log cannot be written; the message names the last good checkpoint.
        """
        schedule = self._schedule
        restored = self._checkpoints.restore_latest()
        with self._checkpoints.writing("The table of metrics"):
            self._log.resume(_number(self._step) if restored else -1)
        if not restored and (schedule.evaluate_first or not schedule.total_steps):
            self._finish_step(0, {}, evaluate=True)
        if _number(self._step) < schedule.total_steps:
            self._report(_number(self._step), None)
        for step in range(_number(self._step), schedule.total_steps):
            if _number(self._stale) >= schedule.patience:
                break
            self._train_step(step)
        self._checkpoints.restore_best()

    def _train_step(self, step: int) -> None:
        schedule, done = self._schedule, step + 1
        logs = self._take_step(step)
        self._step.assign(done)
        evaluate = done % schedule.eval_every == 0 or done == schedule.total_steps
        self._unread.append((done, logs))
        # Reading a loss waits for the device, which should have the next step by then. What is saved or logged after
        # this step is about steps whose losses have been looked at.
        if evaluate or done % schedule.checkpoint_every == 0 or self._is_logged(done):
            self._read_losses()
        self._finish_step(done, logs, evaluate)
        if self._reporter.is_due(evaluate):
            self._read_losses()
            self._report(done, float(logs["loss"]))

    def _read_losses(self) -> None:
        unread, self._unread = self._unread, []
        for done, logs in unread:
            self._guard.check_loss(done, logs)

    def _is_logged(self, done: int) -> bool:
        return done == 1 or done % self._schedule.log_every == 0

    def _finish_step(self, done: int, logs: dict[str, tf.Tensor], evaluate: bool) -> None:
        """Evaluate, log and save after a step, as far as these are due; also before the first one."""
        schedule = self._schedule
        save = evaluate or done % schedule.checkpoint_every == 0
        if save:
            self._guard.check_weights(done, logs)
        metrics = self._evaluator() if evaluate else {}
        # Before the checkpoint: of what is written later than that, nothing must be missing when the run goes on.
        if evaluate or self._is_logged(done):
            with self._checkpoints.writing(f"The metrics of step {done}"):
                self._log.write(done, logs, metrics)
        if evaluate:
            self._note(done, metrics[MAIN_METRIC])
        if save:
            self._checkpoints.save_latest(done)

    def _note(self, done: int, metric: float) -> None:
        self._last_metric.assign(metric)
        if metric > self._best_metric.numpy():
            self._best_metric.assign(metric)
            self._stale.assign(0)
            # Before the loop's own state: a kill in between repeats these steps and writes the same again.
            self._checkpoints.save_best(done)
        else:
            self._stale.assign_add(1)

    def _report(self, done: int, loss: float | None) -> None:
        schedule, metric = self._schedule, float(self._last_metric.numpy())
        found = None if metric < 0 else metric
        self._reporter.report(
            Progress(schedule.stage, done, schedule.total_steps, loss, MAIN_METRIC, found, schedule.compiles)
        )


def _number(variable: tf.Variable) -> int:
    return int(variable.numpy())
