"""Whether one system is better than another, when both the users and the seeds might have been others."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[Any]


class Difference(NamedTuple):
    """Of two systems' means.

    Attributes:
        value: the first less the second.
        error: its standard error over users and seeds.
        p_value: two-sided.
    """

    value: float
    error: float
    p_value: float


def difference(one: Array, other: Array, users: Array, *, resamples: int = 2000, seed: int = 0) -> Difference:
    """Compare two systems on the same requests, users and seeds being two crossed factors (Owen 2007).

    Each resample draws users with replacement, the same for both systems, and of each system its seeds. Of S seeds it
    draws S - 1, so that the spread of a mean of few seeds is not too small by their number (Rao and Wu 1988). The
    resamples give the standard error; what it is measured by is a t distribution, whose degrees of freedom are those of
    the seeds as far as they make up the error (Satterthwaite): with five seeds a normal one would find too much.

    Args:
        one, other: a metric of each request, `[S, R]` and `[S', R]`, a row a seed; at least two seeds each.
        users: of the requests, `[R]`; those of one user are drawn together.
        resamples: draws.
        seed: the same seed gives the same draws.

    Raises:
        ValueError: for fewer than two seeds.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"Each system should have at least 2 seeds. Received: {len(one)} and {len(other)}.")
    _, place = np.unique(users, return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    sums = [np.stack([np.bincount(place, row) for row in values]) for values in (one, other)]
    rng = np.random.default_rng(seed)

    def drawn(of_users: bool, of_seeds: bool) -> Array:
        weights = np.ones((resamples, len(counts)))
        if of_users:
            weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), resamples).astype(np.float64)
        of_systems = []
        for own in sums:
            means = weights @ own.T / (weights @ counts)[:, None]  # of each seed, [resamples, S]
            seeds = len(own)
            share = np.full((resamples, seeds), 1 / seeds)
            if of_seeds:
                share = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), resamples) / (seeds - 1)
            of_systems.append((means * share).sum(1))
        return of_systems[0] - of_systems[1]

    value = float(np.mean(one) - np.mean(other))
    whole, by_seeds = (float(np.var(drawn(*factors), ddof=1)) for factors in ((True, True), (False, True)))
    if not whole:
        return Difference(value, 0.0, float(value == 0))
    by_users = max(whole - by_seeds, 0.0)
    freedom = whole**2 / (by_seeds**2 / (len(one) + len(other) - 2) + by_users**2 / max(len(counts) - 1, 1))
    return Difference(value, whole**0.5, float(2 * stats.t.sf(abs(value) / whole**0.5, freedom)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for their number (Holm 1979): each is at most 1, and none is below one that was smaller."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
