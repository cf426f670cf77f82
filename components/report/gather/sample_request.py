"""A real request of the test split, for trying out the pushed model."""

from typing import Any

import tensorflow as tf

from model import contract

_LOOK_AT = 1000
"""Requests searched for one with a long history of both kinds."""


def sample_request(files: list[str]) -> dict[str, Any]:
    """Pick a request with clicks and searches in its history.

    Args:
        files: compressed TFRecord files of raw request Examples.

    Returns:
        `user`, `rec_items`, `rec_times`, `searches` (each with `words`, `items` and `time`), `candidates`, and
        `clicked`, the candidate that the user did click: all ids and words as strings, times in milliseconds.
    """
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").take(_LOOK_AT)
    examples = [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]
    return as_request(max(examples, key=shorter_history))


def shorter_history(example: tf.train.Example) -> int:
    """Events of the shorter history of a raw request: its clicks or its searches."""
    return min(len(_texts(example, contract.REC_ITEMS)), len(_integers(example, contract.SEARCH_WORD_COUNTS)))


def as_request(example: tf.train.Example) -> dict[str, Any]:
    """A raw request as `sample_request` gives it; events are in order of time."""
    candidates = _texts(example, contract.CANDIDATES)
    words = _split(_texts(example, contract.SEARCH_WORDS), _integers(example, contract.SEARCH_WORD_COUNTS))
    items = _split(_texts(example, contract.SEARCH_ITEMS), _integers(example, contract.SEARCH_ITEM_COUNTS))
    return {
        "user": _texts(example, contract.USER)[0],
        "rec_items": _texts(example, contract.REC_ITEMS),
        "rec_times": _integers(example, contract.REC_TIMES),
        "searches": [
            {"words": of_words, "items": of_items, "time": time}
            for of_words, of_items, time in zip(words, items, _integers(example, contract.SEARCH_TIMES), strict=True)
        ],
        "candidates": candidates,
        "clicked": candidates[_integers(example, contract.LABEL)[0]],
    }


def _texts(example: tf.train.Example, feature: str) -> list[str]:
    return [value.decode() for value in example.features.feature[feature].bytes_list.value]


def _integers(example: tf.train.Example, feature: str) -> list[int]:
    return list(example.features.feature[feature].int64_list.value)


def _split(values: list[str], counts: list[int]) -> list[list[str]]:
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    return [values[end - count : end] for end, count in zip(ends, counts, strict=True)]
