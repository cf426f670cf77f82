"""Starts the process that asks a SavedModel, and reads what it found."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.servable_check import child


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a SavedModel answered.

    Attributes:
        load_seconds: None where it was not loaded.
        errors: why something gave no answer, by what was asked; `the process` and `loading` stop everything.
        outputs: arrays under `<what was asked>/<output>`.
    """

    load_seconds: float | None
    errors: Mapping[str, str]
    outputs: Mapping[str, npt.NDArray[Any]]


def ask(saved_model_dir: str, records: Sequence[bytes], max_seconds: float) -> Answers:
    """Load a SavedModel in a process of its own, without a GPU, and send it requests.

    Args:
        saved_model_dir: the SavedModel, a local directory or a URI.
        records: serialized request Examples with a label.
        max_seconds: after which the process is ended.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tf.io.TFRecordWriter(str(folder / child.REQUESTS_FILE)) as writer:
            for record in records:
                writer.write(record)
        error = _run(saved_model_dir, folder, max_seconds)
        if error:
            return Answers(None, {"the process": error}, {})
        report = json.loads((folder / child.REPORT_FILE).read_text())
        with np.load(folder / child.ANSWERS_FILE) as file:
            outputs = dict(file)
    errors = {"loading": report["load_error"]} if "load_error" in report else report["errors"]
    return Answers(report.get("load_seconds"), errors, outputs)


def _run(saved_model_dir: str, folder: Path, max_seconds: float) -> str | None:
    """Why the process did not come to its end, None where it did."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "1",  # whatever is set here: TF Serving has it on
    }
    command = [sys.executable, "-m", child.__name__, saved_model_dir, str(folder)]
    log = folder / "log"
    try:
        with log.open("wb") as output:
            status = subprocess.run(  # noqa: S603
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=max_seconds,
            ).returncode
    except subprocess.TimeoutExpired:
        return f"it was ended after {max_seconds:g} s"
    if status < 0:
        return f"it died of signal {-status}"
    if status:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"it ended with status {status}: {''.join(last)[:300]}"
    return None
