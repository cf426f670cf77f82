"""The scalars that a training logged."""

import csv
import os

import tensorflow as tf


def training_curves(model_run_dir: str, stage: str) -> list[dict[str, float]]:
    """Rows of the table of `model.training.metrics_log`.

    Args:
        model_run_dir: artifact of a Trainer.
        stage: `supervised` or `grpo`.

    Returns:
        A row for each logged step: `step`, what training logged and `eval/...`; what a row lacks is absent.
    """
    with tf.io.gfile.GFile(os.path.join(model_run_dir, f"{stage}.csv")) as file:
        return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]
