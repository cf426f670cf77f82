"""What a model costs: its size, and the speed of its training."""

import math
import os
from collections.abc import Iterable

import keras
import tensorflow as tf

from model.ranker import Ranker


def model_cost(model: Ranker, saved_model_dir: str) -> dict[str, int]:
    """Size of a model.

    Args:
        model: the model.
        saved_model_dir: where it was exported to.

    Returns:
        `parameters`: numbers that training changes; `embedding_parameters`: those among them that are in the user,
        item and word tables; `model_bytes`: of all files of the SavedModel, the graph and the vocabularies included.
    """
    files = (os.path.join(folder, name) for folder, _, names in tf.io.gfile.walk(saved_model_dir) for name in names)
    return {
        "parameters": _numbers(model.trainable_variables),
        "embedding_parameters": _numbers(layer.table for layer in model.tables),
        "model_bytes": sum(tf.io.gfile.stat(path).length for path in files),
    }


def training_rate(model_run_dir: str, batch_size: int, stage: str) -> float | None:
    """Rows a second of a stage, from the times in TensorBoard's files.

    A row is a training target: the window before a click with the click and its negatives, which GRPO plays as a
    group of trajectories. The time runs from the first logged step, so that reading the log and compiling the first
    step are not in it, to the last one; evaluations, checkpoints and logs in between are. A training that was cut off
    has a file for each of its processes: the time between them does not count, and steps done twice count twice.

    Args:
        model_run_dir: artifact of a Trainer.
        batch_size: rows of a step, as the stage was set; if the log has fewer targets, their number.
        stage: `supervised` or `grpo`.

    Returns:
        None if no process logged two steps.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps, seconds = 0, 0.0
    for name in tf.io.gfile.listdir(model_run_dir):
        if ".tfevents." not in name:
            continue
        path = os.path.join(model_run_dir, name)
        # 0 keeps all; the default is a random ten of them.
        events = EventAccumulator(path, size_guidance={"tensors": 0}).Reload()
        tag = f"{stage}/loss"
        logged = events.Tensors(tag) if tag in events.Tags()["tensors"] else []
        if len(logged) > 1:
            steps += logged[-1].step - logged[0].step
            seconds += logged[-1].wall_time - logged[0].wall_time
    return steps * batch_size / seconds if steps else None


def _numbers(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
