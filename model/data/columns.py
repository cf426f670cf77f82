"""Ragged integer columns of tf.Examples, read from TFRecord files in batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.contract import TIME_FEATURES

PARSE_BATCH = 4096

Array = npt.NDArray[Any]
"""An array; docstrings say what numbers it holds, and its shape."""


class Column(NamedTuple):
    """One feature over all Examples: flat `values`, int32 (int64 for times), and the length of each list, int32."""

    values: Array
    lengths: Array


Columns = dict[str, Column]


def read_columns(files: Sequence[str], names: Sequence[str]) -> Columns:
    """Read int64 list features of all Examples in gzipped TFRecord files, in the order of the files.

    A feature that an Example lacks is an empty list.
    """
    spec = {name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in names}

    def parse(serialized: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        parsed = tf.io.parse_example(serialized, spec)
        return {name: column_of(name, ragged) for name, ragged in parsed.items()}

    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    parts = list(records.batch(PARSE_BATCH).map(parse, tf.data.AUTOTUNE).as_numpy_iterator())

    def joined(name: str, field: int, dtype: Any) -> Array:
        return np.concatenate([np.zeros(0, dtype), *(part[name][field] for part in parts)])

    return {name: Column(joined(name, 0, _type(name)), joined(name, 1, np.int32)) for name in names}


def column_of(name: str, feature: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Values and lengths of an int64 feature of a batch, in the types of `Column`."""
    return tf.cast(feature.flat_values, _type(name)), tf.cast(feature.row_lengths(), tf.int32)


def _type(name: str) -> Any:
    return np.int64 if name in TIME_FEATURES else np.int32


def offsets(lengths: Array) -> Array:
    """Where each of consecutive lists begins, and where the last one ends: int32, one longer than `lengths`."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
