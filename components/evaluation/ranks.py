"""Ranks that saved models give to the requests of a raw split, and the same requests as ids: one pass, one order."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.evaluation.raw_requests import requests_of_parts, rows_a_call, transform_function
from components.evaluation.request_ranks import fingerprints
from model import contract
from model.data.requests import Requests
from model.objectives.metrics import pessimistic_rank

BATCH = 512


@dataclasses.dataclass(frozen=True)
class Ranked:
    """The requests of a split as models rank them.

    Attributes:
        requests: as ids of this run's Transform.
        fingerprints: of the serialized Examples, uint64 `[R]`.
        ranks: of each request's positive, int32 `[R]` by model.
        non_finite: requests with a score that is not a finite number, by model.
    """

    requests: Requests
    fingerprints: npt.NDArray[Any]
    ranks: dict[str, npt.NDArray[Any]]
    non_finite: dict[str, int]


def rank_requests(
    models: Mapping[str, str], transform_graph_dir: str, files: Sequence[str], batch_size: int = BATCH
) -> Ranked:
    """Rank raw requests by the `serving_default` signatures of models.

    Args:
        models: SavedModel directory by name; each has the vocabularies that it was trained with.
        transform_graph_dir: artifact of Transform.
        files: gzipped TFRecord files of raw request Examples with labels, all with equally many candidates.
        batch_size: requests a call, at the most.

    Raises:
        ValueError: if requests differ in their number of candidates.
    """
    loaded = {name: tf.saved_model.load(directory) for name, directory in models.items()}
    rankers = {name: _ranker(model.signatures[contract.SIGNATURE_DEFAULT]) for name, model in loaded.items()}
    transform = transform_function(transform_graph_dir)
    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    for first in records.take(1):
        batch_size = min(batch_size, rows_a_call(first.numpy()))
    batches = records.batch(batch_size).prefetch(1)
    columns, marks = [], []
    found: dict[str, list[tuple[tf.Tensor, tf.Tensor]]] = {name: [] for name in models}
    for examples in batches:
        marks.append(fingerprints(examples.numpy()))
        part = transform(examples)
        columns.append(part)
        for name, ranker in rankers.items():
            found[name].append(ranker(examples, part[contract.LABEL][0]))
    ranks = {
        name: np.concatenate([np.zeros(0, np.int32), *(part[0].numpy() for part in parts)])
        for name, parts in found.items()
    }
    return Ranked(
        requests_of_parts(columns),
        np.concatenate([np.zeros(0, np.uint64), *marks]),
        ranks,
        {name: int(sum(part[1].numpy() for part in parts)) for name, parts in found.items()},
    )


def _ranker(score: Callable[..., dict[str, tf.Tensor]]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    @tf.function(autograph=False, reduce_retracing=True)
    def ranker(examples: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = score(examples=examples)["scores"]
        broken = tf.reduce_any(~tf.math.is_finite(scores), 1)
        return pessimistic_rank(scores, label), tf.reduce_sum(tf.cast(broken, tf.int32))

    return ranker
