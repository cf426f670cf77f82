"""The process that loads a SavedModel and asks it: whatever happens to it, the pipeline goes on."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.servable_check.requests import rank_inputs
from model import inputs as contract

REQUESTS_FILE = "requests.tfrecord"
ANSWERS_FILE = "answers.npz"
REPORT_FILE = "report.json"

_Answers = Mapping[str, np.ndarray]


def ask(saved_model_dir: str, folder: Path) -> None:
    """Load a SavedModel, send it the requests of `folder`, and write there what it answers.

    Writes:
        `report.json`: `load_seconds`, or `load_error`; and `errors`, by what was asked.
        `answers.npz`: each output, under `<what was asked>/<its name>`.
    """
    records = list(tf.data.TFRecordDataset(str(folder / REQUESTS_FILE)).as_numpy_iterator())
    report: dict[str, Any] = {"errors": {}}
    answers: dict[str, np.ndarray] = {}
    begin = time.monotonic()
    try:
        model = tf.saved_model.load(saved_model_dir)
        report["load_seconds"] = time.monotonic() - begin
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the check is for
        report["load_error"] = _line(error)
    else:
        for name, call in _calls(model.signatures, records).items():
            try:
                answers |= {f"{name}/{output}": value for output, value in call().items()}
            except Exception as error:  # noqa: BLE001
                report["errors"][name] = _line(error)
    np.savez(folder / ANSWERS_FILE, **answers)  # type: ignore[arg-type]
    (folder / REPORT_FILE).write_text(json.dumps(report))


def _calls(signatures: Mapping[str, Any], records: Sequence[bytes]) -> dict[str, Callable[[], _Answers]]:
    """What to ask the signatures that are there; `encode` and `score` are asked one after the other."""
    plain = {name: tf.constant(values.tolist(), tf.string) for name, values in rank_inputs(records).items()}
    candidates = plain[contract.CANDIDATES]
    history = {name: values for name, values in plain.items() if name != contract.CANDIDATES}

    def encode_and_score() -> _Answers:
        state = signatures[contract.SIGNATURE_ENCODE](**history)
        scored = signatures[contract.SIGNATURE_SCORE](candidates=candidates, **state)
        finite = all(np.isfinite(values).all() for values in state.values())
        return {**_numpy(scored), "states_are_finite": np.array(finite)}

    examples = tf.constant(list(records))
    calls: dict[tuple[str, ...], Callable[[], _Answers]] = {
        (contract.SIGNATURE_DEFAULT,): lambda: _numpy(signatures[contract.SIGNATURE_DEFAULT](examples)),
        (contract.SIGNATURE_RANK,): lambda: _numpy(signatures[contract.SIGNATURE_RANK](**plain)),
        (contract.SIGNATURE_ENCODE, contract.SIGNATURE_SCORE): encode_and_score,
        (contract.SIGNATURE_RANK_EVAL,): lambda: _numpy(signatures[contract.SIGNATURE_RANK_EVAL](examples)),
    }
    return {" and ".join(names): call for names, call in calls.items() if set(names) <= set(signatures)}


def _numpy(outputs: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in outputs.items()}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


if __name__ == "__main__":
    ask(sys.argv[1], Path(sys.argv[2]))
