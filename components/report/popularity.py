"""The popularity ranking that every model is put beside."""

from collections.abc import Sequence

import numpy as np

from model import inputs as contract
from model.metrics import pessimistic_rank
from model.training.evaluation import ranking_metrics
from model.training.requests import read_requests
from model.training.timelines import read_timelines


def popularity_metrics(train_files: list[str], test_files: list[str], names: Sequence[str]) -> dict[str, float]:
    """Metrics of ranking the stored test candidates by their recommendation clicks in the train split.

    Args:
        train_files, test_files: of the transformed splits.
        names: `HR@k`, `NDCG@k` or `MRR`.

    Returns:
        Metric name to value. Ties count against the positive, as for every model.
    """
    timelines, requests = read_timelines(train_files), read_requests(test_files)
    largest = max(int(timelines.rec_items.max(initial=0)), int(requests.candidates.max(initial=0)))
    clicks = np.bincount(timelines.rec_items, minlength=largest + 1).astype(np.float32)
    clicks[contract.UNKNOWN_ID] = 0.0  # an item beyond the vocabulary has no count of its own
    return ranking_metrics(pessimistic_rank(clicks[requests.candidates], requests.label).numpy(), names)
