"""The process that loads a SavedModel as TF Serving does and asks it: whatever happens, the pipeline goes on."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.servable_check.operations import WARM_UP_FILE
from components.servable_check.requests import labels, rank_inputs, rank_times
from components.servable_check.session import SessionModel, Signature
from model import contract

REQUESTS_FILE = "requests.tfrecord"
ANSWERS_FILE = "answers.npz"
REPORT_FILE = "report.json"

_Answers = Mapping[str, npt.NDArray[Any]]


def ask(saved_model_dir: str, folder: Path) -> None:
    """Load a SavedModel, replay its warm-up requests, send it those of `folder`, and write there what it answers.

    Writes:
        `report.json`: `load_seconds`, or `load_error`; and `errors`, by what was asked.
        `answers.npz`: each output, under `<what was asked>/<its name>`.
    """
    records = list(tf.data.TFRecordDataset(str(folder / REQUESTS_FILE)).as_numpy_iterator())
    report: dict[str, Any] = {"errors": {}}
    answers: dict[str, Any] = {}
    begin = time.monotonic()
    try:
        model = SessionModel(saved_model_dir)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the check is for
        report["load_error"] = _line(error)
    else:
        report["load_seconds"] = time.monotonic() - begin
        with model:
            for name, call in _calls(model, saved_model_dir, records).items():
                try:
                    answers |= {f"{name}/{output}": value for output, value in call().items()}
                except Exception as error:  # noqa: BLE001
                    report["errors"][name] = _line(error)
    np.savez(folder / ANSWERS_FILE, **answers)
    (folder / REPORT_FILE).write_text(json.dumps(report))


def _calls(model: SessionModel, saved_model_dir: str, records: Sequence[bytes]) -> dict[str, Callable[[], _Answers]]:
    """What to ask the signatures that are there; `encode` and `score` are asked one after the other."""
    signatures = model.signatures
    plain = {**rank_inputs(records), **rank_times(records)}
    candidates = plain[contract.CANDIDATES]
    histories = (contract.REC_ITEMS, contract.SEARCH_WORDS, contract.SEARCH_ITEMS)

    def ask_plain(name: str) -> _Answers:
        return signatures[name](**{key: values for key, values in plain.items() if key in model.inputs[name]})

    def encode_and_score() -> _Answers:
        state = ask_plain(contract.SIGNATURE_ENCODE)
        scored = signatures[contract.SIGNATURE_SCORE](candidates=candidates, **state)
        finite = all(np.isfinite(values).all() for values in state.values())
        return {**scored, "states_are_finite": np.array(finite)}

    def recommend_and_rank() -> _Answers:
        """The best of the catalogue, what the signature `rank` says of them, and whether one was clicked before."""
        rows = len(records)
        asked = {contract.K: np.full(rows, 10, np.int32), contract.LEAVE_OUT_CLICKED: np.ones(rows, bool), **plain}
        names = model.inputs[contract.SIGNATURE_RECOMMEND]
        found = signatures[contract.SIGNATURE_RECOMMEND](**{name: asked[name] for name in names})
        again = {**plain, contract.CANDIDATES: found["items"]}
        ranked = signatures[contract.SIGNATURE_RANK](
            **{name: again[name] for name in model.inputs[contract.SIGNATURE_RANK]}
        )
        clicked = [
            set(row) & set(items) - {b""} for row, items in zip(plain[contract.REC_ITEMS], found["items"], strict=True)
        ]
        return {"scores": found["scores"], "again": ranked["scores"], "clicked": np.array(list(map(bool, clicked)))}

    def explain() -> _Answers:
        positives = candidates[np.arange(len(records)), labels(records)]
        asked = {**plain, contract.ITEM: positives}
        names = model.inputs[contract.SIGNATURE_EXPLAIN]
        told = signatures[contract.SIGNATURE_EXPLAIN](**{name: asked[name] for name in names})
        events = [(plain[name] != b"").reshape(len(records), -1) for name in histories if name in names]
        return {**told, "has_history": np.any(np.concatenate(events, 1), axis=1)}

    examples = np.array(records, object)
    calls: dict[tuple[str, ...], Callable[[], _Answers]] = {
        (contract.SIGNATURE_DEFAULT,): lambda: signatures[contract.SIGNATURE_DEFAULT](examples=examples),
        (contract.SIGNATURE_RANK,): lambda: ask_plain(contract.SIGNATURE_RANK),
        (contract.SIGNATURE_ENCODE, contract.SIGNATURE_SCORE): encode_and_score,
        (contract.SIGNATURE_RECOMMEND, contract.SIGNATURE_RANK): recommend_and_rank,
        (contract.SIGNATURE_EXPLAIN,): explain,
        (contract.SIGNATURE_RANK_EVAL,): lambda: signatures[contract.SIGNATURE_RANK_EVAL](examples=examples),
    }
    asked = {" and ".join(names): call for names, call in calls.items() if set(names) <= set(signatures)}
    return {"replaying the warm-up requests": lambda: _warm_up(signatures, saved_model_dir), **asked}


def _warm_up(signatures: Mapping[str, Signature], saved_model_dir: str) -> _Answers:
    """Send the requests that TF Serving sends before a version is available; one that fails keeps it from being so."""
    path = os.path.join(saved_model_dir, WARM_UP_FILE)
    records = tf.data.TFRecordDataset(path).as_numpy_iterator() if tf.io.gfile.exists(path) else ()
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        signature = signatures[request.model_spec.signature_name or contract.SIGNATURE_DEFAULT]
        signature(**{name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()})
    return {}


def warm_up_rows(path: str) -> list[int]:
    """Rows of each warm-up request of a file."""
    records = tf.data.TFRecordDataset(path).as_numpy_iterator()
    asked = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request.inputs for record in records]
    return [
        max((size.size for tensor in one.values() for size in tensor.tensor_shape.dim[:1]), default=0) for one in asked
    ]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


if __name__ == "__main__":
    ask(sys.argv[1], Path(sys.argv[2]))
