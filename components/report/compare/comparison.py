"""Two sides of runs held against each other: what went in differently, and whether the models rank differently."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation.intervals import Estimate, estimate_means, over_seeds
from components.evaluation.names import CANDIDATE
from components.evaluation.rank_values import rank_values
from components.evaluation.request_ranks import RequestRanks
from components.report.compare.differences import differences
from model.config import MAIN_METRIC

ALL = "all"
"""What slices are looked at by."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        figures: what its `run.json` holds.
        ranks: of its test requests.
    """

    figures: Mapping[str, Any]
    ranks: RequestRanks


def compare_runs(a: Sequence[Run], b: Sequence[Run]) -> dict[str, Any]:
    """Hold the models of two sides against each other, b against a.

    Each side is a run, or several of the same settings with different seeds. Requests are paired by their fingerprints;
    of several runs, a request's metric is its mean over them, so that luck in training counts as little as it can.

    Args:
        a: runs of the first side, at least one.
        b: runs of the second side, at least one.

    Returns:
        Plain values.
        `settings`, `environment`, `data`, `mixed`: as `components.report.compare.differences` gives them.
        `metrics`: of all requests, by metric and side: `value`, `low` and `high` of a single run, `value` (the mean)
            and `std` over several, and `runs`.
        `slices`: the same of the main metric, by slice.
        `requests`: how many each side has, `a` and `b`, and how many both have, `common`.
        `paired`: b less a over these, by slice and metric: `value`, `low`, `high`, `requests`, `p_value`; empty
            without a common request. A slice is that of the first run.
    """
    runs, sides = [*a, *b], {"a": a, "b": b}
    metrics = [
        name
        for name in a[0].figures["evaluation"]["metrics"]
        if all(name in run.figures["evaluation"]["metrics"] for run in runs)
    ]
    slices = [name for name in a[0].ranks.masks if all(name in _estimates(run) for run in runs)]
    common = _common(runs)
    return {
        **differences([run.figures for run in a], [run.figures for run in b]),
        "metrics": {name: {side: _measured(of_side, ALL, name) for side, of_side in sides.items()} for name in metrics},
        "slices": {
            name: {side: _measured(of_side, name, MAIN_METRIC) for side, of_side in sides.items()} for name in slices
        },
        "requests": {**{side: len(_common(of_side)) for side, of_side in sides.items()}, "common": len(common)},
        "paired": _paired(a, b, common, slices, metrics) if len(common) else {},
    }


def _common(runs: Sequence[Run]) -> npt.NDArray[Any]:
    """Fingerprints of the requests that all runs have, ascending."""
    return functools.reduce(np.intersect1d, [np.unique(run.ranks.requests) for run in runs])


def _paired(
    a: Sequence[Run],
    b: Sequence[Run],
    common: npt.NDArray[Any],
    slices: Sequence[str],
    metrics: Sequence[str],
) -> dict[str, dict[str, dict[str, Any]]]:
    def values(runs: Sequence[Run]) -> dict[str, npt.NDArray[Any]]:
        ranks = [run.ranks.ranks[CANDIDATE][_rows(run, common)] for run in runs]
        return {metric: np.mean([rank_values(of_run, metric) for of_run in ranks], 0) for metric in metrics}

    rows = _rows(a[0], common)
    masks = {name: a[0].ranks.masks[name][rows] for name in slices}
    # The first is compared with the other.
    found = estimate_means({"b": values(b), "a": values(a)}, masks).differences["a"]
    return {
        name: {metric: dataclasses.asdict(one) for metric, one in by_metric.items()}
        for name, by_metric in found.items()
    }


def _rows(run: Run, requests: npt.NDArray[Any]) -> npt.NDArray[Any]:
    order = np.argsort(run.ranks.requests, kind="stable")
    return order[np.searchsorted(run.ranks.requests, requests, sorter=order)]


def _measured(runs: Sequence[Run], slice_name: str, metric: str) -> dict[str, Any]:
    estimates = [Estimate(**_estimates(run)[slice_name][metric]) for run in runs]
    values = [{metric: one.value} for one in estimates if one.value is not None]
    if len(values) < len(runs):  # nothing to average
        return {"value": None, "low": None, "high": None, "std": None, "runs": len(runs)}
    if len(runs) == 1:
        [one] = estimates
        return {"value": one.value, "low": one.low, "high": one.high, "std": None, "runs": 1}
    found = over_seeds(values)[metric]
    return {"value": found["mean"], "low": None, "high": None, "std": found["std"], "runs": len(runs)}


def _estimates(run: Run) -> dict[str, Any]:
    return run.figures["evaluation"]["models"][CANDIDATE]
