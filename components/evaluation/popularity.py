"""The popularity ranking that every model is put beside."""

from typing import Any

import numpy as np
import numpy.typing as npt

from model import contract
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.objectives.metrics import pessimistic_rank


def popularity_ranks(requests: Requests, timelines: Timelines) -> npt.NDArray[Any]:
    """Rank of each request's positive when the stored candidates are ranked by their clicks in the train split.

    Args:
        requests: of the test split.
        timelines: the training log.

    Returns:
        int32 `[R]`. Ties count against the positive, as for every model.
    """
    largest = max(int(timelines.rec_items.max(initial=0)), int(requests.candidates.max(initial=0)))
    clicks = np.bincount(timelines.rec_items, minlength=largest + 1).astype(np.float32)
    clicks[contract.UNKNOWN_ID] = 0.0  # an item beyond the vocabulary has no count of its own
    return pessimistic_rank(clicks[requests.candidates], requests.label).numpy()
