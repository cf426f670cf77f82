"""The scalars of a training, for TensorBoard and as a table."""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

EVALUATION = "eval/"


class MetricsLog:
    """Writes `<log_dir>/<stage>.csv` and TensorBoard's events, the same scalars to both.

    A row of the table is a step: its number, what training logged, and the evaluation's metrics, named `eval/...` and
    blank where there was none. TensorBoard calls a scalar `<stage>/<column>`.

    Args:
        stage: `supervised` or `grpo`.
        log_dir: made if it is not there.
    """

    def __init__(self, stage: str, log_dir: str) -> None:
        tf.io.gfile.makedirs(log_dir)
        self._stage = stage
        self._path = os.path.join(log_dir, f"{stage}.csv")
        self._columns: list[str] = []
        self._events = tf.summary.create_file_writer(log_dir)

    def resume(self, step: int) -> None:
        """Keep the rows up to a step: a training that goes on from there writes the later ones again.

        Args:
            step: the last one to keep; -1 for a training that starts anew.
        """
        rows = [row for row in self._read() if int(row["step"]) <= step]
        if rows:
            self._columns = list(rows[0])
            self._replace(rows)
        elif tf.io.gfile.exists(self._path):
            tf.io.gfile.remove(self._path)

    def write(self, step: int, training: Mapping[str, Any], evaluation: Mapping[str, float]) -> None:
        """Add a row.

        Args:
            step: steps done; larger than that of the row before.
            training: what the step logged; nothing before the first step.
            evaluation: metrics of an evaluation after the step, if there was one.
        """
        scalars = {name: float(value) for name, value in training.items()}
        scalars |= {EVALUATION + name: float(value) for name, value in evaluation.items()}
        with self._events.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(f"{self._stage}/{name}", value, step)
        self._events.flush()
        # Nine digits give every float32 back.
        row = {"step": str(step), **{name: f"{value:.9g}" for name, value in scalars.items()}}
        if not row.keys() <= set(self._columns):
            self._add_columns(row)
        self._write(self._path, "a", [row])

    def _add_columns(self, names: Iterable[str]) -> None:
        """Which columns there are shows only after the first step and the first evaluation."""
        columns = dict.fromkeys([*self._columns, *names])
        self._columns = sorted(columns, key=lambda name: name.startswith(EVALUATION))
        self._replace(self._read())

    def _read(self) -> list[dict[str, str]]:
        if not tf.io.gfile.exists(self._path):
            return []
        with tf.io.gfile.GFile(self._path) as file:
            rows = list(csv.DictReader(file))
        # A run that was killed while it wrote a row leaves one with too few fields.
        return [row for row in rows if None not in row.values()]

    def _replace(self, rows: list[dict[str, str]]) -> None:
        temporary = self._path + ".tmp"
        header = dict(zip(self._columns, self._columns, strict=True))
        self._write(temporary, "w", [header, *rows])
        tf.io.gfile.rename(temporary, self._path, overwrite=True)

    def _write(self, path: str, mode: str, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        with tf.io.gfile.GFile(path, mode) as file:
            file.write(text.getvalue())
