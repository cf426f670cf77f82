"""Metrics of ranks with bootstrap intervals, by slice, and paired tests of models on the same requests."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation.bootstrap import bootstrap_means
from components.evaluation.rank_values import rank_values

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over requests, or over differences of two models on the same requests.

    Attributes:
        value: the mean; None where there is no request.
        low, high: ends of its interval, percentiles of the resampled means; None where there is no request.
        requests: how many.
        p_value: of a difference, two-sided: how often resampling turns its sign; None for a mean of one model.
    """

    value: float | None
    low: float | None
    high: float | None
    requests: int
    p_value: float | None = None


Estimates = dict[str, dict[str, Estimate]]
"""By slice and metric."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What one set of requests says.

    Attributes:
        models: estimates by model, slice and metric.
        differences: of the first model less another, by the other's name, slice and metric; empty for a single model.
    """

    models: dict[str, Estimates]
    differences: dict[str, Estimates]


def estimate_metrics(
    ranks: Mapping[str, npt.NDArray[Any]],
    masks: Mapping[str, npt.NDArray[Any]],
    metrics: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Estimate every metric of every model in every slice, all from the same resamples of the requests.

    Args:
        ranks: of each request's positive, `[R]`, by model; the first is compared with each other.
        masks: bool `[R]` by slice.
        metrics: `HR@k`, `NDCG@k` or `MRR`.
        resamples: draws.
        seed: the same seed gives the same draws.

    Raises:
        ValueError: without a model, or for arrays that differ in length.
    """
    values = {model: {metric: rank_values(of_model, metric) for metric in metrics} for model, of_model in ranks.items()}
    return estimate_means(values, masks, resamples=resamples, seed=seed)


def estimate_means(
    values: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    masks: Mapping[str, npt.NDArray[Any]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """The same of any value that a request has, such as a metric averaged over the seeds of a model.

    Requests are drawn with replacement as often as there are; a slice then holds as many as were drawn of it. As all
    models are looked at on the same draw, what makes requests hard or easy cancels in their differences.

    Args:
        values: `[R]` by model and metric, of the same metrics for each model; the first is compared with each other.
        masks: bool `[R]` by slice.
        resamples: draws.
        seed: the same seed gives the same draws.

    Raises:
        ValueError: without a model, or for arrays that differ in length.
    """
    sizes = {len(array) for array in (*(one for of in values.values() for one in of.values()), *masks.values())}
    if not values or len(sizes) != 1:
        raise ValueError(
            "Values should be of at least one model and as long as `masks`. "
            f"Received: {len(values)} models, lengths {sorted(sizes)}."
        )
    first, *others = values
    metrics = list(values[first])
    table = np.array([[of_model[metric] for metric in metrics] for of_model in values.values()], np.float64)
    # Taken of each request: a difference of sums would be rounded, and not be 0 where models agree.
    table = np.concatenate([table, table[:1] - table[1:]])
    means, resampled = bootstrap_means(table, np.stack(list(masks.values())), resamples, seed)

    def estimates(at: int) -> Estimates:
        return {
            name: {
                metric: _estimate(
                    means[place, at, number], resampled[:, place, at, number], int(mask.sum()), at >= len(values)
                )
                for number, metric in enumerate(metrics)
            }
            for place, (name, mask) in enumerate(masks.items())
        }

    return Comparison(
        {model: estimates(at) for at, model in enumerate(values)},
        {model: estimates(len(values) + at) for at, model in enumerate(others)},
    )


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation (ddof 1; NaN of a single run) and number of runs, of each metric that all runs have."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    table = np.array([[run[name] for name in names] for run in runs], np.float64)
    spread = table.std(0, ddof=1) if len(runs) > 1 else np.full(len(names), np.nan)
    return {
        name: {"mean": float(mean), "std": float(std), "runs": len(runs)}
        for name, mean, std in zip(names, table.mean(0), spread, strict=True)
    }


def _estimate(mean: float, resampled: npt.NDArray[Any], requests: int, is_difference: bool) -> Estimate:
    if not requests:
        return Estimate(None, None, None, 0)
    # A small slice may be empty in some draws.
    drawn = resampled[~np.isnan(resampled)]
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    p_value = None
    if is_difference:
        turned = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p_value = float(min(1.0, 2 * (turned + 1) / (len(drawn) + 1)))
    return Estimate(float(mean), float(low), float(high), requests, p_value)
