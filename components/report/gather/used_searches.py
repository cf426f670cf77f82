"""Which searches a model looked at for the item that a user clicked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.evaluation.raw_requests import raw_requests
from components.report.gather.sample_request import as_request, shorter_history
from model import contract
from model.config import RankerConfig
from model.data.requests import Requests
from model.data.windows import RequestWindows
from model.objectives.metrics import pessimistic_rank
from model.ranker import Explainer, Ranker

LOOK_AT = 1000
"""Requests among which those to show are chosen."""


def used_searches(
    model: Ranker, transform_graph_dir: str, files: Sequence[str], *, users: int = 6
) -> list[dict[str, Any]]:
    """Searches of a few requests with the weights that the model gives them for the item that was clicked.

    Shown are the requests of different users whose shorter history, of clicks and of searches, is the longest, and
    whose clicked item has an embedding of its own.

    Args:
        model: the model.
        transform_graph_dir: artifact of Transform.
        files: gzipped TFRecord files of raw request Examples with labels.
        users: how many requests to show at the most.

    Returns:
        For each request `user`, `target`, the target's `rank` among its `candidates`, and `searches`, the newest
        first: `words`, clicked `items` and `weight`. Of searches, words and items as many as the model looks at. The
        weights of all searches and of the reasoning steps sum to 1. Nothing, if the model does not say.

    Raises:
        ValueError: if requests differ in their number of candidates.
    """
    if not isinstance(model, Explainer):
        return []
    records = list(tf.data.TFRecordDataset(sorted(files), "GZIP").take(LOOK_AT).as_numpy_iterator())
    requests = raw_requests(transform_graph_dir, records)
    examples = [tf.train.Example.FromString(record) for record in records]
    rows = _choose(examples, requests, users)
    if not rows:
        return []
    batch, label = RequestWindows(requests, model.config, model.inputs)(tf.constant(rows, tf.int32))
    weights = model.search_weights(batch, label).numpy()
    scores = model.score(model.encode(batch), model.prepare(batch[contract.CANDIDATES]))
    ranks = pessimistic_rank(scores, label).numpy()
    return [
        _shown(as_request(examples[row]), int(rank), of_searches, model.config)
        for row, rank, of_searches in zip(rows, ranks, weights, strict=True)
    ]


def _choose(examples: Sequence[tf.train.Example], requests: Requests, count: int) -> list[int]:
    """Rows of one request a user, those with the longest histories first."""
    targets = np.take_along_axis(requests.candidates, requests.label[:, None], 1)[:, 0]
    lengths = np.array([shorter_history(example) for example in examples])
    lengths[targets == contract.UNKNOWN_ID] = 0
    of_user: dict[str, int] = {}
    for row in np.argsort(-lengths, kind="stable").tolist():
        if lengths[row]:
            of_user.setdefault(as_request(examples[row])["user"], row)
    return list(of_user.values())[:count]


def _shown(request: dict[str, Any], rank: int, weights: npt.NDArray[Any], shape: RankerConfig) -> dict[str, Any]:
    # The newest search is the last one and in the last column; what is older than either reaches falls off.
    newest_first = zip(reversed(request["searches"]), weights[::-1].tolist(), strict=False)
    return {
        "user": request["user"],
        "target": request["clicked"],
        "rank": rank,
        "candidates": len(request["candidates"]),
        "searches": [
            {
                "words": search["words"][: shape.words_per_search],
                "items": search["items"][: shape.items_per_search],
                "weight": round(weight, 4),
            }
            for search, weight in newest_first
        ],
    }
