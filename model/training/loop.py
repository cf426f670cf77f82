"""The training loop of both stages: evaluation, early stopping, checkpoints, logs."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model.training.evaluation import MAIN_METRIC, Evaluator
from model.training.progress import Progress, ProgressReporter

LOG_EVERY = 10


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When a training evaluates, saves and stops.

    Attributes:
        stage: its name in logs.
        total_steps: steps at the most.
        eval_every, checkpoint_every: steps between evaluations and between checkpoints.
        patience: evaluations without a better NDCG@5 before it stops.
        evaluate_first: evaluate before the first step, so that the start can be the best.
    """

    stage: str
    total_steps: int
    eval_every: int
    checkpoint_every: int
    patience: int
    evaluate_first: bool


class TrainingLoop:
    """Runs steps until the schedule ends or NDCG@5 stops growing, then restores the best weights.

    Everything that later steps depend on is saved in `checkpoint_dir`; a loop that finds a checkpoint there
    goes on from it, to the same result as a loop that was never interrupted.

    Args:
        schedule: when to do what.
        take_step: runs the step of a number counted from 0; gives scalars to log, `loss` among them.
        evaluator: gives the metrics of the current weights.
        state: all that a step changes, by name.
        weights: what is kept of the best model, by name.
        checkpoint_dir, log_dir: of checkpoints and of TensorBoard.
    """

    def __init__(
        self,
        schedule: Schedule,
        take_step: Callable[[int], dict[str, tf.Tensor]],
        evaluator: Evaluator,
        *,
        state: dict[str, Any],
        weights: dict[str, Any],
        checkpoint_dir: str,
        log_dir: str,
    ) -> None:
        self._schedule = schedule
        self._take_step = take_step
        self._evaluator = evaluator
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
        self._latest = tf.train.CheckpointManager(
            tf.train.Checkpoint(**counters, **state), os.path.join(checkpoint_dir, "latest"), max_to_keep=1
        )
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(**weights), os.path.join(checkpoint_dir, "best"), max_to_keep=1
        )
        self._writer = tf.summary.create_file_writer(log_dir)
        self._reporter = ProgressReporter()

    def run(self) -> None:
        """Trains from the latest checkpoint on.

        Raises:
            FloatingPointError: if the loss is not finite; the message names the step.
        """
        schedule = self._schedule
        if self._latest.latest_checkpoint:
            self._latest.checkpoint.restore(self._latest.latest_checkpoint).assert_existing_objects_matched()
        elif schedule.evaluate_first:
            self._evaluate(0)
        with self._writer.as_default():
            for step in range(int(self._step), schedule.total_steps):
                if self._stale >= schedule.patience:
                    break
                self._train_step(step)
        self._writer.flush()
        self._best.checkpoint.restore(self._best.latest_checkpoint).assert_existing_objects_matched()

    def _train_step(self, step: int) -> None:
        schedule, done = self._schedule, step + 1
        logs = self._take_step(step)
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(f"The {schedule.stage} loss should be finite. Received: {loss} at step {done}.")
        self._step.assign(done)
        if done % LOG_EVERY == 0 or done == 1:
            for name, value in logs.items():
                tf.summary.scalar(f"{schedule.stage}/{name}", value, done)
        if done % schedule.eval_every == 0 or done == schedule.total_steps:
            self._evaluate(done)
            self._report(done, loss, True)
        elif done % schedule.checkpoint_every == 0:
            self._latest.save(done)
        self._report(done, loss, False)

    def _evaluate(self, done: int) -> None:
        metrics = self._evaluator()
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(f"{self._schedule.stage}/eval/{name}", value, done)
        self._last_metric.assign(metrics[MAIN_METRIC])
        if metrics[MAIN_METRIC] > float(self._best_metric):
            self._best_metric.assign(metrics[MAIN_METRIC])
            self._stale.assign(0)
            # Before the loop's own state: a kill in between repeats these steps and writes the same again.
            self._best.save(done)
        else:
            self._stale.assign_add(1)
        self._latest.save(done)

    def _report(self, done: int, loss: float, now: bool) -> None:
        metric = float(self._last_metric)
        self._reporter.report(
            Progress(
                self._schedule.stage, done, self._schedule.total_steps, loss, MAIN_METRIC,
                None if metric < 0 else metric,
            ),
            now,
        )
