"""Ragged integer columns of tf.Examples, read from TFRecord files in batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

PARSE_BATCH = 4096


class Column(NamedTuple):
    """One feature over all Examples: flat `values` and the length of each Example's list, int32."""

    values: np.ndarray
    lengths: np.ndarray


Columns = dict[str, Column]


def read_columns(files: Sequence[str], names: Sequence[str]) -> Columns:
    """Reads int64 list features of all Examples in gzipped TFRecord files, in the order of the files.

    A feature that an Example lacks is an empty list.
    """
    spec = {name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in names}

    def parse(serialized: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        parsed = tf.io.parse_example(serialized, spec)
        return {
            name: (tf.cast(ragged.flat_values, tf.int32), tf.cast(ragged.row_lengths(), tf.int32))
            for name, ragged in parsed.items()
        }

    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    parts = list(records.batch(PARSE_BATCH).map(parse, tf.data.AUTOTUNE).as_numpy_iterator())
    empty = np.zeros(0, np.int32)
    return {
        name: Column(*(np.concatenate([empty, *(part[name][field] for part in parts)]) for field in (0, 1)))
        for name in names
    }


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Where each of consecutive lists begins, and where the last one ends: int32, one longer than `lengths`."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
