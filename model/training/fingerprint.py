"""A name for a training that no other training has: a hash of everything its result depends on."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.requests import Requests
from model.data.timelines import Timelines

DIGITS = 32


def training_fingerprint(
    timelines: Timelines,
    requests: Requests,
    settings: Sequence[Any],
    code: str,
    base_weights: Iterable[npt.NDArray[Any]] = (),
) -> str:
    """Names a training by what is in its inputs, wherever they are stored.

    Two trainings with the same name give the same model, so one may go on from a checkpoint of the other.

    Args:
        timelines: the training log.
        requests: the eval split.
        settings: dataclasses, those of the model and of the stage.
        code: a hash of the code that trains.
        base_weights: of the model that the training starts from, in a fixed order; none for a new model.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    _add(digest, "code", code)
    for config in settings:
        _add(digest, type(config).__name__, json.dumps(dataclasses.asdict(config), sort_keys=True))
    for histories in (timelines, requests):
        for field in dataclasses.fields(histories):
            _add_array(digest, f"{type(histories).__name__}.{field.name}", getattr(histories, field.name))
    for index, weight in enumerate(base_weights):
        _add_array(digest, f"weight {index}", weight)
    return digest.hexdigest()[:DIGITS]


def _add(digest: Any, name: str, text: str) -> None:
    # As a JSON list, so that no other name and text give the same bytes.
    digest.update(json.dumps([name, text]).encode())


def _add_array(digest: Any, name: str, array: npt.NDArray[Any] | None) -> None:
    if array is None:
        _add(digest, name, "none")
        return
    # Type and shape first: they say where the bytes end, and equal bytes can be different arrays.
    _add(digest, name, f"{array.dtype.str} {array.shape}")
    digest.update(np.ascontiguousarray(array).data)
