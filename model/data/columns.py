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


class Part(NamedTuple):
    """One of several equal parts, counted from 0."""

    index: int
    count: int


ALL = Part(0, 1)
"""Everything, in one part."""


def read_columns(files: Sequence[str], names: Sequence[str], part: Part = ALL) -> Columns:
    """Read int64 list features of Examples in gzipped TFRecord files, in the order of the files.

    A feature that an Example lacks is an empty list.

    Args:
        files: the same, in the same order, whatever the part.
        names: of the features.
        part: which of the Examples to read: those of some of the files, or where there are fewer files than parts,
            every `count`-th Example.
    """
    spec = {name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in names}

    def parse(serialized: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        parsed = tf.io.parse_example(serialized, spec)
        return {name: column_of(name, ragged) for name, ragged in parsed.items()}

    records = tf.data.TFRecordDataset(files_of(files, part), compression_type="GZIP")
    if len(files) < part.count:
        records = records.shard(part.count, part.index)
    parts = list(records.batch(PARSE_BATCH).map(parse, tf.data.AUTOTUNE).as_numpy_iterator())

    def joined(name: str, field: int, dtype: Any) -> Array:
        return np.concatenate([np.zeros(0, dtype), *(part[name][field] for part in parts)])

    return {name: Column(joined(name, 0, _type(name)), joined(name, 1, np.int32)) for name in names}


def files_of(files: Sequence[str], part: Part) -> list[str]:
    """The files that a part reads, in their order; all of them, where there are fewer than parts.

    Each file, the largest first, goes to the part that has the fewest bytes so far.
    """
    if part.count == 1 or len(files) < part.count:
        return list(files)
    sizes = {file: tf.io.gfile.stat(file).length for file in files}
    held = [0] * part.count
    own = []
    for file in sorted(files, key=lambda file: (-sizes[file], file)):
        least = held.index(min(held))
        held[least] += sizes[file]
        if least == part.index:
            own.append(file)
    return sorted(own)


def column_of(name: str, feature: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Values and lengths of an int64 feature of a batch, in the types of `Column`."""
    return tf.cast(feature.flat_values, _type(name)), tf.cast(feature.row_lengths(), tf.int32)


def _type(name: str) -> Any:
    return np.int64 if name in TIME_FEATURES else np.int32


def offsets(lengths: Array) -> Array:
    """Where each of consecutive lists begins, and where the last one ends: int32, one longer than `lengths`."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
