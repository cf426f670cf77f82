"""Starts a training from the last pushed model, whose vocabularies were counted on another log."""

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging

from components.servable.saving import load
from components.transform.vocabularies import NAMES
from model import contract
from model.config import RankerConfig
from model.ranker import Ranker
from model.registry import make_ranker
from model.training.carry_over import FRESH, carry_over


def start_from(saved_model_dir: str, shape: RankerConfig, transform: tft.TFTransformOutput) -> Ranker:
    """A new model with the weights of a pushed one.

    A row goes with its string: by vocabulary, to the id that the string has now; by hashing, it stays where it is.
    Strings that are new get a fresh row.

    Args:
        saved_model_dir: of the pushed servable.
        shape: of the new model.
        transform: what Transform put out for the new model.

    Raises:
        ValueError: if the pushed model differs in more than its tables.
    """
    try:
        earlier = load(saved_model_dir)
        if {**dataclasses.asdict(earlier.config), **_sizes(shape)} != dataclasses.asdict(shape):
            raise ValueError(f"{earlier.config} instead of {shape}")
    except ValueError as error:
        raise ValueError(
            "`warm_start` should find a pushed model with the settings of `model` as they are now, but "
            f"{saved_model_dir} has others: {error}. Set it to false to train from scratch."
        ) from error
    rows, before = {}, _sizes(earlier.config)
    for name in NAMES:
        size = f"num_{name}"
        rows[name] = earlier_rows(
            _pushed_strings(saved_model_dir, name), _strings(transform, name), before[size], getattr(shape, size)
        )
        logging.info(
            "Warm start: %d of %d rows of %s carried over from %s.",
            (rows[name] != FRESH).sum(),
            getattr(shape, size),
            name,
            saved_model_dir,
        )
    model = make_ranker(shape)
    carry_over(earlier, model, rows)
    return model


def earlier_rows(earlier: pa.Array | None, now: pa.Array | None, earlier_size: int, size: int) -> npt.NDArray[Any]:
    """Where each row of a table was before.

    Args:
        earlier, now: the vocabularies, in the order of their ids; None for ids by hashing.
        earlier_size, size: rows of the tables, padding and the unknown id included.

    Returns:
        int64 `[size]`: the earlier row, or `FRESH`. Padding and the unknown id stay; where one of the tables is
        hashed and the other is not, or the number of buckets changed, all others are fresh.
    """
    first = contract.FIRST_KNOWN_ID
    rows = np.full(size, FRESH, np.int64)
    rows[:first] = np.arange(first)
    if earlier is not None and now is not None:
        rows[first:] = pc.fill_null(pc.add(pc.index_in(now, value_set=earlier), first), FRESH).to_numpy()
    elif earlier is None and now is None and earlier_size == size:
        rows = np.arange(size)
    return rows


def _sizes(config: RankerConfig) -> dict[str, int]:
    return {size: getattr(config, size) for size in (f"num_{name}" for name in NAMES)}


def _pushed_strings(saved_model_dir: str, name: str) -> pa.Array | None:
    path = os.path.join(saved_model_dir, "assets", name)
    return _read(path) if tf.io.gfile.exists(path) else None


def _strings(transform: tft.TFTransformOutput, name: str) -> pa.Array | None:
    path = transform.vocabulary_file_by_name(name)
    return _read(path) if path else None


def _read(path: str) -> pa.Array:
    with tf.io.gfile.GFile(path, "rb") as file:
        return pa.array(file.read().split(b"\n")[:-1], pa.binary())
