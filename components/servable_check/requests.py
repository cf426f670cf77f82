"""Golden requests: Examples of the test split, two that are hard, and the same as plain tensors."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import contract

_UNKNOWN = b"\xe2\x88\x85 of no vocabulary"


def golden_requests(files: Sequence[str], count: int) -> list[bytes]:
    """The first requests of a split, and two made of the first: unknown ids everywhere, and no history at all.

    Requests that plain tensors cannot hold (an empty string, or a search without words and clicks) are passed over:
    the signatures would rightly differ on them.

    Args:
        files: gzipped TFRecord files of request Examples with a label.
        count: how many to take from the split.

    Raises:
        ValueError: if the split has no such request.
    """
    found: list[bytes] = []
    for record in tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").as_numpy_iterator():
        if _is_plain(tf.train.Example.FromString(record)):
            found.append(record)
        if len(found) == count:
            break
    if not found:
        raise ValueError("The test split should hold a request to try the model with. Received: none.")
    return [*found, *_hard(found[0])]


def rank_inputs(records: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Requests as the signature `rank` takes them, histories padded on the left, everything else on the right.

    Returns:
        `user [B]`, `rec_items [B, Lr]`, `search_words [B, Ls, W]`, `search_items [B, Ls, M]`, `candidates [B, C]`,
        bytes; `b""` is padding.
    """
    examples = [tf.train.Example.FromString(record) for record in records]
    searches = {
        name: [_split(texts(one, name), numbers(one, counts)) for one in examples]
        for name, counts in (
            (contract.SEARCH_WORDS, contract.SEARCH_WORD_COUNTS),
            (contract.SEARCH_ITEMS, contract.SEARCH_ITEM_COUNTS),
        )
    }
    return {
        contract.USER: np.array([texts(one, contract.USER)[0] for one in examples], object),
        contract.REC_ITEMS: padded([texts(one, contract.REC_ITEMS) for one in examples], left=True),
        contract.CANDIDATES: padded([texts(one, contract.CANDIDATES) for one in examples]),
        **{name: _padded_searches(rows) for name, rows in searches.items()},
    }


def rank_times(records: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """The times of requests as `rank` takes them, padded on the left: `rec_times [B, Lr]`, `search_times [B, Ls]`.

    Returns:
        int64; 0 is padding.
    """
    examples = [tf.train.Example.FromString(record) for record in records]
    return {name: _padded_times([numbers(one, name) for one in examples]) for name in contract.TIME_FEATURES}


def labels(records: Sequence[bytes]) -> npt.NDArray[Any]:
    """Column of the positive of each request, `[B]`."""
    return np.array([numbers(tf.train.Example.FromString(record), contract.LABEL)[0] for record in records])


def texts(example: tf.train.Example, feature: str) -> list[bytes]:
    """Strings of a feature."""
    return list(example.features.feature[feature].bytes_list.value)


def numbers(example: tf.train.Example, feature: str) -> list[int]:
    """Integers of a feature."""
    return list(example.features.feature[feature].int64_list.value)


def padded(rows: Sequence[Sequence[bytes]], left: bool = False) -> npt.NDArray[Any]:
    """Lists of strings as an array `[B, n]`, n at least 1."""
    width = max((len(row) for row in rows), default=0) or 1
    out = np.full((len(rows), width), b"", object)
    for row, values in zip(out, rows, strict=True):
        row[width - len(values) if left else 0 :][: len(values)] = values
    return out


def _padded_times(rows: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
    width = max(map(len, rows), default=0) or 1
    return np.array([[0] * (width - len(row)) + list(row) for row in rows], np.int64)


def _padded_searches(rows: Sequence[Sequence[Sequence[bytes]]]) -> npt.NDArray[Any]:
    count = max(map(len, rows), default=0) or 1
    # Searches are padded on the left, the strings of one on the right.
    flat = padded([search for row in rows for search in [()] * (count - len(row)) + list(row)])
    return flat.reshape(len(rows), count, -1)


def _split(values: Sequence[bytes], counts: Sequence[int]) -> list[Sequence[bytes]]:
    ends = np.cumsum(counts, dtype=int)
    return [values[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _is_plain(example: tf.train.Example) -> bool:
    counts = zip(
        numbers(example, contract.SEARCH_WORD_COUNTS), numbers(example, contract.SEARCH_ITEM_COUNTS), strict=True
    )
    strings = (text for name in contract.REQUEST_FEATURES for text in texts(example, name))
    return all(words or items for words, items in counts) and all(strings)


def _hard(record: bytes) -> Iterator[bytes]:
    """A request of unknown ids with the same shape, and one of the same candidates without any history."""
    unknown, newcomer = tf.train.Example.FromString(record), tf.train.Example.FromString(record)
    for name in (*contract.REQUEST_FEATURES, *contract.TIME_FEATURES):
        if name not in (contract.USER, contract.CANDIDATES):
            newcomer.features.feature[name].Clear()
        strings = texts(unknown, name)
        if strings:  # counts and times have none, and would become a list of strings
            unknown.features.feature[name].bytes_list.value[:] = [_UNKNOWN] * len(strings)
    yield unknown.SerializeToString(deterministic=True)
    yield newcomer.SerializeToString(deterministic=True)
