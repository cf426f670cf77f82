"""Writes training timelines and requests as tf.Examples, in the form of `model.inputs`."""

from collections.abc import Iterable, Sequence

import tensorflow as tf

from components.example_gen.events import Click, Search
from components.example_gen.splits import Request, Training
from model import inputs


def timeline_example(user: str, training: Training) -> bytes:
    """Serialize the training part of a user; equal parts give equal bytes."""
    example = _with_history(user, training.clicks, training.searches)
    _add_integers(example, inputs.REC_SEARCHES_BEFORE, training.searches_before)
    _add_integers(example, inputs.REC_IS_TARGET, training.is_target)
    return example.SerializeToString(deterministic=True)


def request_example(user: str, request: Request, candidates: Sequence[bytes], label: int) -> bytes:
    """Serialize a request; equal requests give equal bytes.

    Args:
        user: raw id.
        request: the target and the history before it.
        candidates: `[C]` raw ids, encoded.
        label: the column of the target in `candidates`.
    """
    example = _with_history(user, request.clicks, request.searches)
    _add_bytes(example, inputs.CANDIDATES, candidates)
    _add_integers(example, inputs.LABEL, [label])
    return example.SerializeToString(deterministic=True)


def _with_history(user: str, clicks: list[Click], searches: list[Search]) -> tf.train.Example:
    example = tf.train.Example()
    _add_strings(example, inputs.USER, [user])
    _add_strings(example, inputs.REC_ITEMS, [click.item for click in clicks])
    _add_strings(example, inputs.SEARCH_WORDS, [word for search in searches for word in search.words])
    _add_integers(example, inputs.SEARCH_WORD_COUNTS, [len(search.words) for search in searches])
    _add_strings(example, inputs.SEARCH_ITEMS, [item for search in searches for item in search.items])
    _add_integers(example, inputs.SEARCH_ITEM_COUNTS, [len(search.items) for search in searches])
    return example


def _add_strings(example: tf.train.Example, name: str, values: Iterable[str]) -> None:
    _add_bytes(example, name, [value.encode() for value in values])


# Filled in place: building Features and copying them into an Example takes twice as long. An empty list is set too,
# so that every feature is present with its kind.


def _add_bytes(example: tf.train.Example, name: str, values: Sequence[bytes]) -> None:
    bytes_list = example.features.feature[name].bytes_list
    bytes_list.SetInParent()
    bytes_list.value.extend(values)


def _add_integers(example: tf.train.Example, name: str, values: Sequence[int]) -> None:
    int64_list = example.features.feature[name].int64_list
    int64_list.SetInParent()
    int64_list.value.extend(values)
