"""Evaluation requests, in flat arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.contract import CANDIDATES, LABEL, REQUEST_FEATURES, TIME_FEATURES
from model.data.columns import ALL, Array, Columns, Part, read_columns
from model.data.timelines import Histories, history_arrays


@dataclasses.dataclass(frozen=True)
class Requests(Histories):
    """Requests with known answers: a timeline cut at its target, with candidates.

    Attributes:
        candidates: int32 `[R, C]`.
        label: column of the positive, int32 `[R]`.
    """

    candidates: Array
    label: Array

    def __len__(self) -> int:
        return len(self.users)


def read_requests(files: Sequence[str], part: Part = ALL) -> Requests:
    """Read transformed request Examples, each with a label, from gzipped TFRecord files, or a part of them.

    Args:
        files: of the split.
        part: as `read_columns` takes it.

    Raises:
        ValueError: if requests differ in their number of candidates, or lists that belong together in length.
    """
    return requests_of_columns(read_columns(files, (*REQUEST_FEATURES, *TIME_FEATURES, LABEL), part))


def requests_of_columns(columns: Columns) -> Requests:
    """Requests from the columns of `REQUEST_FEATURES`, `TIME_FEATURES` and `LABEL`; raises as `read_requests` does."""
    candidates = columns[CANDIDATES]
    counts = np.unique(candidates.lengths)
    if len(counts) != 1:
        raise ValueError(f"`{CANDIDATES}` should be equally long in every request. Received: lengths {counts}.")
    return Requests(
        **history_arrays(columns),
        candidates=candidates.values.reshape(-1, counts[0]),
        label=columns[LABEL].values,
    )
