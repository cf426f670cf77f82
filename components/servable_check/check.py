"""From a SavedModel to a verdict."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt
import tensorflow as tf
from google.protobuf.message import DecodeError

from components.common.verdict import Verdict
from components.servable_check.ask import ask
from components.servable_check.child import warm_up_rows
from components.servable_check.compare import compare_answers
from components.servable_check.operations import WARM_UP_FILE, forbidden_operations, signature_names
from components.servable_check.requests import labels
from components.servable_check.settings import ServableCheckSettings
from model import contract

GATE = "ServableCheck"
SIGNATURES = (
    contract.SIGNATURE_DEFAULT,
    contract.SIGNATURE_RANK,
    contract.SIGNATURE_ENCODE,
    contract.SIGNATURE_SCORE,
    contract.SIGNATURE_RANK_EVAL,
)
MAX_WARM_UP_RECORDS = 1000
"""TF Serving refuses a version with more."""


def check_servable(
    saved_model_dir: str,
    records: Sequence[bytes],
    golden: Callable[[], Sequence[npt.NDArray[Any]]],
    settings: ServableCheckSettings,
) -> Verdict:
    """Check a SavedModel, on its files first and then by asking it.

    A model with forbidden operations is not loaded. Everything that can still be checked is, so that the verdict
    holds every reason.

    Args:
        saved_model_dir: the SavedModel.
        records: serialized request Examples with a label.
        golden: gives the scores that each request's candidates should get, `[C]` each; called when the SavedModel has
            answered, for it may read the same files.
        settings: limits.
    """
    megabytes = _megabytes(saved_model_dir)
    detail = {"megabytes": megabytes, "requests": len(records)}
    reasons = []
    if megabytes > settings.max_megabytes:
        reasons.append(f"the SavedModel has {megabytes:.3g} MB > {settings.max_megabytes:g}")
    try:
        forbidden, missing = forbidden_operations(saved_model_dir), _missing(saved_model_dir)
    except (tf.errors.OpError, DecodeError) as error:
        return Verdict(GATE, (*reasons, f"saved_model.pb cannot be read: {error}"), detail=detail)
    reasons += [*forbidden, *missing, *_of_warm_up(saved_model_dir)]
    notes = []
    if not tf.io.gfile.exists(os.path.join(saved_model_dir, WARM_UP_FILE)):
        notes.append("the SavedModel has no warm-up requests: the first clients wait for the graph")
    if forbidden:
        notes.append("the SavedModel was not loaded, for its operations")
        return Verdict(GATE, tuple(reasons), tuple(notes), detail)
    found, more = _of_answers(saved_model_dir, records, golden, settings)
    return Verdict(GATE, (*reasons, *found), tuple(notes), {**detail, **more})


def _of_answers(
    saved_model_dir: str,
    records: Sequence[bytes],
    golden: Callable[[], Sequence[npt.NDArray[Any]]],
    settings: ServableCheckSettings,
) -> tuple[list[str], dict[str, object]]:
    """Reasons, and what was measured."""
    answers = ask(saved_model_dir, records, settings.max_child_seconds)
    detail: dict[str, object] = {"load_seconds": answers.load_seconds}
    if answers.load_seconds is None:
        failures = {"loading": "the SavedModel cannot be loaded", "the process": "the process that asks it failed"}
        return [f"{failures[what]}: {error}" for what, error in answers.errors.items()], detail
    reasons = [f"{what} failed: {error}" for what, error in answers.errors.items()]
    if answers.load_seconds > settings.max_load_seconds:
        reasons.append(f"loading took {answers.load_seconds:.3g} s > {settings.max_load_seconds:g}")
    try:
        right = golden()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        return [*reasons, f"the weights cannot be read: {error}"], detail
    wrong, distances = compare_answers(answers.outputs, right, labels(records), settings.tolerance)
    return [*reasons, *wrong], {**detail, "distances": distances}


def _missing(saved_model_dir: str) -> list[str]:
    names = signature_names(saved_model_dir)
    return [f"the signature {name} is missing" for name in SIGNATURES if name not in names]


def _of_warm_up(saved_model_dir: str) -> list[str]:
    path = os.path.join(saved_model_dir, WARM_UP_FILE)
    if not tf.io.gfile.exists(path):
        return []
    try:
        rows = warm_up_rows(path)
    except (tf.errors.DataLossError, DecodeError) as error:
        return [f"the warm-up requests cannot be read: {error}"]
    reasons = []
    if len(rows) > MAX_WARM_UP_RECORDS:
        reasons.append(f"there are {len(rows)} warm-up requests > {MAX_WARM_UP_RECORDS}")
    if max(rows, default=0) > contract.MAX_MERGED_ROWS:
        # A server that merges calls refuses larger ones, and never serves a version whose warm-up it refused.
        reasons.append(f"a warm-up request has {max(rows)} rows > {contract.MAX_MERGED_ROWS}")
    return reasons


def _megabytes(directory: str) -> float:
    files = (os.path.join(folder, name) for folder, _, names in tf.io.gfile.walk(directory) for name in names)
    return sum(tf.io.gfile.stat(path).length for path in files) / 1e6
