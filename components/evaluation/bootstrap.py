"""Means of values of requests in overlapping slices, and of resamples of the requests."""

from typing import Any

import numpy as np
import numpy.typing as npt

_DRAWS_AT_ONCE = 1_000_000
"""Requests drawn that are in memory at a time."""


def bootstrap_means(
    values: npt.NDArray[Any], slices: npt.NDArray[Any], resamples: int, seed: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Draw requests with replacement, as often as there are, and average in each slice what was drawn of it.

    Slices overlap, but requests that are in the same slices are always counted together. So each resample is summed
    over such groups, a product of weights and values each, and groups are summed to slices: each weight meets each
    value once, instead of once for every slice. This is meant for slices that part requests into tens of groups.

    Args:
        values: float64 `[A, M, R]`.
        slices: bool `[S, R]`.
        resamples: draws n.
        seed: the same seed gives the same draws.

    Returns:
        Means of all requests, `[S, A, M]`, and of each resample, `[n, S, A, M]`, NaN where a slice holds no request.
    """
    requests = slices.shape[1]
    groups, group = np.unique(slices, axis=1, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    place, starts = np.argsort(order), np.cumsum(np.bincount(group.ravel()))[:-1]
    # The ones count the requests drawn.
    columns = np.concatenate([values.reshape(-1, requests), np.ones((1, requests))]).T[order]

    def means(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
        parts = zip(np.split(weights, starts, axis=1), np.split(columns, starts), strict=True)
        sums = np.stack([drawn @ part for drawn, part in parts], axis=1)
        sums = groups.astype(np.float64) @ sums
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums[..., :-1] / sums[..., -1:]).reshape(len(weights), len(slices), *values.shape[:2])

    random = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // requests)
    found = []
    for begin in range(0, resamples, step):
        number = min(step, resamples - begin)
        drawn = place[random.integers(0, requests, (number, requests))] + requests * np.arange(number)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=number * requests).reshape(number, requests)
        found.append(means(weights.astype(np.float64)))
    return means(np.ones((1, requests)))[0], np.concatenate(found)
