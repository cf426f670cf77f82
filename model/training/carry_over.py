"""Gives a model the weights of an earlier one whose tables have other rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.ranker import Ranker

FRESH = -1
"""Stands for a row that the earlier table does not have."""


def carry_over(earlier: Ranker, model: Ranker, rows: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy every dense weight, and the rows of the tables to where their ids are now.

    Args:
        earlier: the model to copy from; of the same shape but for the sizes of its tables.
        model: changed in place; a row that is `FRESH` stays as it is.
        rows: for the tables `users`, `items` and `words`, the earlier row of each row of `model`, int `[n]`.
    """
    for ours, theirs in zip(model.dense_variables, earlier.dense_variables, strict=True):
        ours.assign(theirs)
    for ours, theirs in zip(model.tables, earlier.tables, strict=True):
        known = np.flatnonzero(rows[ours.name] != FRESH)
        taken = tf.gather(theirs.table.value, rows[ours.name][known])
        ours.table.value.scatter_nd_update(known[:, None], taken)
