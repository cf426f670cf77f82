"""Metrics of ranks with bootstrap intervals, by slice, and paired tests of two models on the same requests."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from model.metrics import metric_values

LEVEL = 0.95
_ROWS_AT_ONCE = 2_000_000
"""Weights of resamples that are in memory at a time."""


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
        difference: of the first model less the second, by slice and metric; empty without a second.
    """

    models: dict[str, Estimates]
    difference: Estimates


def compare(
    ranks: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    metrics: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Estimate every metric of every model in every slice, all from the same resamples of the requests.

    Requests are drawn with replacement as often as there are; a slice then holds as many as were drawn of it. As both
    models are looked at on the same draw, what makes requests hard or easy cancels in their difference.

    Args:
        ranks: of each request's positive, `[R]`, by model; with two, the first is compared with the second.
        masks: bool `[R]` by slice.
        metrics: `HR@k`, `NDCG@k` or `MRR`.
        resamples: draws.
        seed: the same seed gives the same draws.

    Raises:
        ValueError: for more than two models, or arrays that differ in length.
    """
    sizes = {len(array) for array in (*ranks.values(), *masks.values())}
    if not 1 <= len(ranks) <= 2 or len(sizes) != 1:
        raise ValueError("`ranks` should be of one or two models and as long as `masks`. "
                         f"Received: {len(ranks)} models, lengths {sorted(sizes)}.")
    values = np.stack([[metric_values(of_model, name).numpy() for name in metrics] for of_model in ranks.values()])
    if len(ranks) == 2:
        values = np.concatenate([values, values[:1] - values[1:]])
    slices = np.stack(list(masks.values())).astype(np.float32)
    means, resampled = _bootstrap(values.astype(np.float32), slices, resamples, seed)

    def estimates(at: int, is_difference: bool) -> Estimates:
        return {name: {metric: _estimate(means[at, number, place], resampled[:, at, number, place],
                                         int(mask.sum()), is_difference)
                       for number, metric in enumerate(metrics)}
                for place, (name, mask) in enumerate(masks.items())}

    return Comparison({name: estimates(at, False) for at, name in enumerate(ranks)},
                      estimates(2, True) if len(ranks) == 2 else {})


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation (ddof 1; NaN of a single run) and number of runs, of each metric that all runs have."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    table = np.array([[run[name] for name in names] for run in runs], np.float64)
    spread = table.std(0, ddof=1) if len(runs) > 1 else np.full(len(names), np.nan)
    return {name: {"mean": float(mean), "std": float(std), "runs": len(runs)}
            for name, mean, std in zip(names, table.mean(0), spread, strict=True)}


def _bootstrap(values: np.ndarray, slices: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of values `[A, M, R]` in slices `[S, R]`: `[A, M, S]`, and of each resample, `[n, A, M, S]`."""
    requests = slices.shape[1]
    # Everything is a weighted sum over requests: one product for all models, metrics and slices.
    columns = np.concatenate([(values[:, :, None] * slices).reshape(-1, requests), slices])

    def means(weights: np.ndarray) -> np.ndarray:
        sums = weights @ columns.T
        totals, counts = sums[:, : -len(slices)], sums[:, None, None, -len(slices):]
        with np.errstate(invalid="ignore", divide="ignore"):
            return totals.reshape(len(weights), *values.shape[:2], len(slices)) / counts

    random = np.random.default_rng(seed)
    step = max(1, _ROWS_AT_ONCE // max(requests, 1))
    found = []
    for begin in range(0, resamples, step):
        number = min(step, resamples - begin)
        drawn = random.integers(0, requests, (number, requests)) + requests * np.arange(number)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=number * requests).reshape(number, requests)
        found.append(means(weights.astype(np.float32)))
    return means(np.ones((1, requests), np.float32))[0], np.concatenate(found)


def _estimate(mean: float, resampled: np.ndarray, requests: int, is_difference: bool) -> Estimate:
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
