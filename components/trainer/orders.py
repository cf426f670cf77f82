"""How a step of the pipeline has other processes train: an order in a folder that all of them share.

The step is one process on one machine, and a job of several workers is started by somebody else. So the step copies its
inputs below the folder of the checkpoints, writes down what to do, waits for the workers, and takes over what they
made: no other storage has to be shared. Below `<checkpoints>/orders/<stage>` lie:

| what | written by |
|---|---|
| `inputs/`, and then `order.json` | the step |
| `alive`, new every few seconds | the chief |
| `model/`, `model_run/`, and then `done` | the chief |
"""

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from components.trainer.meeting import VARIABLE

LOGGER = logging.getLogger(__name__)
_SECONDS = 5.0
"""Between looks at the folder, and between signs of life."""
ORDER, ALIVE, DONE = "order.json", "alive", "done"


def has_workers() -> bool:
    """Whether this process is one of a job's workers."""
    return bool(os.environ.get(VARIABLE))


def folder_of(checkpoints: str, stage: str) -> str:
    """Where the order of a stage lies."""
    return os.path.join(checkpoints, "orders", stage)


def hand_over(stage: str, fn_args: Any, wait_seconds: float) -> None:
    """Have workers train a stage, and take over the model and the logs.

    A step that is tried again finds its order, and what has been done of it.

    Args:
        stage: `supervised` or `grpo`.
        fn_args: of the TFX Trainer.
        wait_seconds: how long nothing may be heard of the workers.

    Raises:
        TimeoutError: if nothing was heard of them.
    """
    folder = folder_of(fn_args.custom_config["checkpoints"], stage)
    inputs = {
        "transform_output": fn_args.transform_output,
        "train_files": [os.path.dirname(pattern) for pattern in fn_args.train_files],
        "eval_files": [os.path.dirname(pattern) for pattern in fn_args.eval_files],
        "base_model": fn_args.base_model,
    }
    text = json.dumps({"stage": stage, "inputs": inputs, "custom_config": fn_args.custom_config}, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()
    if _read(folder, ORDER).get("name") != name:
        _write_order(folder, name, stage, inputs, fn_args.custom_config)
    LOGGER.warning("The %s stage waits for workers: python -m tfx_pipeline.kubeflow.worker %s", stage, folder)
    _wait(folder, wait_seconds)
    _copy(os.path.join(folder, "model"), fn_args.serving_model_dir)
    _copy(os.path.join(folder, "model_run"), fn_args.model_run_dir)
    # `done` stays, for workers that are started again and would look for the order.
    tf.io.gfile.remove(os.path.join(folder, ORDER))
    for name in ("inputs", "model", "model_run"):
        tf.io.gfile.rmtree(os.path.join(folder, name))


def carry_out(folder: str, stages: Mapping[str, Callable[[Any], Any]], chief: bool, wait_seconds: float) -> bool:
    """Train what an order says, as one of its workers.

    Args:
        folder: of the order.
        stages: the `run_fn` of each stage.
        chief: whether this worker writes.
        wait_seconds: how long to wait for the order.

    Returns:
        False if it has been carried out before.

    Raises:
        TimeoutError: if there is no order.
    """
    end = time.monotonic() + wait_seconds
    while not (order := _read(folder, ORDER)) or _read(folder, DONE):
        if _read(folder, DONE):
            return False
        if time.monotonic() > end:
            raise TimeoutError(
                f"{folder} should hold the {ORDER} of a waiting Trainer within {wait_seconds:g} s. Received: none. "
                "Start the pipeline with `distribution.strategy: multi_worker`, and the workers when it waits for them."
            )
        time.sleep(_SECONDS)
    fn_args = types.SimpleNamespace(
        **order["fn_args"],
        custom_config=order["custom_config"],
        serving_model_dir=os.path.join(folder, "model"),
        model_run_dir=os.path.join(folder, "model_run"),
    )
    with _signs_of_life(folder) if chief else contextlib.nullcontext():
        stages[order["stage"]](fn_args)
        if chief:
            _write(folder, DONE, {"name": order["name"]})
    return True


def _write_order(folder: str, name: str, stage: str, inputs: dict[str, Any], custom_config: dict[str, Any]) -> None:
    # With the first stage begins another run: what is left of the second stage's order is of the run before.
    obsolete = os.path.dirname(folder) if stage == "supervised" else folder
    if tf.io.gfile.exists(obsolete):
        tf.io.gfile.rmtree(obsolete)
    copied: dict[str, Any] = {}
    for what, given in inputs.items():
        target = os.path.join(folder, "inputs", what)
        if isinstance(given, list):
            copied[what] = [os.path.join(target, str(number), "*") for number in range(len(given))]
            for number, directory in enumerate(given):
                _copy(directory, os.path.join(target, str(number)))
        elif given:
            _copy(given, target)
            copied[what] = target
        else:
            copied[what] = None
    order = {"name": name, "stage": stage, "fn_args": copied, "custom_config": custom_config}
    _write(folder, ORDER, order)


def _wait(folder: str, seconds: float) -> None:
    heard, last = "", time.monotonic()
    while not tf.io.gfile.exists(os.path.join(folder, DONE)):
        if (sign := str(_read(folder, ALIVE))) != heard:
            heard, last = sign, time.monotonic()
        elif time.monotonic() - last > seconds:
            raise TimeoutError(
                f"Workers of the order {folder} should be heard of every {seconds:g} s. Received: nothing. See what "
                "became of their job, or start one; the same run goes on from there. docs/training.md says how."
            )
        time.sleep(_SECONDS)


@contextlib.contextmanager
def _signs_of_life(folder: str) -> Iterator[None]:
    over = threading.Event()

    def tell() -> None:
        count = 0
        while not over.wait(_SECONDS):
            count += 1
            _write(folder, ALIVE, {"process": os.getpid(), "count": count})

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _copy(source: str, target: str) -> None:
    """Copy a directory and all below it."""
    for directory, _, files in tf.io.gfile.walk(source):
        below = os.path.join(target, os.path.relpath(directory, source))
        tf.io.gfile.makedirs(below)
        for file in files:
            tf.io.gfile.copy(os.path.join(directory, file), os.path.join(below, file), overwrite=True)


def _read(folder: str, name: str) -> dict[str, Any]:
    """A small file; empty while it is not there."""
    try:
        with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
            return json.loads(file.read())
    except tf.errors.NotFoundError:
        return {}


def _write(folder: str, name: str, content: dict[str, Any]) -> None:
    tf.io.gfile.makedirs(folder)
    path = os.path.join(folder, name)
    with tf.io.gfile.GFile(path + ".tmp", "w") as file:
        file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
    tf.io.gfile.rename(path + ".tmp", path, overwrite=True)
