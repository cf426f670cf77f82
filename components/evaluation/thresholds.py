"""Thresholds on metrics of slices, absolute and against the last pushed model, as the verdict of a gate."""

import dataclasses
from collections.abc import Mapping

from components.common.verdict import Verdict
from components.evaluation.intervals import Comparison, Estimate
from components.evaluation.names import BASELINE
from components.evaluation.threshold import Threshold

GATE = "RankingCheck"
MIN_REQUESTS = 100
"""Name of the last pushed model in a comparison."""


Thresholds = Mapping[str, Mapping[str, Threshold]]
"""By slice and metric."""


def threshold_verdict(comparison: Comparison, thresholds: Thresholds, min_requests: int = MIN_REQUESTS) -> Verdict:
    """Hold estimates against thresholds.

    Args:
        comparison: of the candidate, first, and of others; of these only the last pushed model counts, `BASELINE`.
        thresholds: by slice and metric.
        min_requests: slices with fewer are noted, and stop nothing: their means are noise.

    Returns:
        A reason for every threshold that is missed.

    Raises:
        ValueError: for a slice or metric that was not measured.
    """
    candidate = next(iter(comparison.models.values()))
    reasons, notes = [], []
    for name, by_metric in thresholds.items():
        for metric, threshold in by_metric.items():
            if metric not in candidate.get(name, {}):
                raise ValueError(
                    "Thresholds should be on slices and metrics that are measured: "
                    f"{', '.join(candidate)}. Received: {metric} of {name!r}."
                )
            found, title = candidate[name][metric], f"{metric} of {name!r}"
            if found.value is None or found.requests < min_requests:
                notes.append(f"{title} was not judged: {found.requests} requests, fewer than {max(min_requests, 1)}")
                continue
            if threshold.min is not None and not found.value >= threshold.min:
                reasons.append(f"{title} is {found.value:.4f}, below {threshold.min:g}")
            if BASELINE in comparison.differences:
                reasons += _worse(title, comparison.differences[BASELINE][name][metric], threshold)
            elif threshold.max_drop is not None or threshold.significance is not None:
                notes.append(f"{title} was not compared: no model was pushed yet")
    return Verdict(GATE, tuple(reasons), tuple(notes), dataclasses.asdict(comparison))


def _worse(title: str, difference: Estimate, threshold: Threshold) -> list[str]:
    change, p_value = difference.value, difference.p_value
    if change is None or p_value is None:
        return []
    reasons = []
    if threshold.max_drop is not None and not change >= -threshold.max_drop:
        reasons.append(f"{title} is {-change:.4f} lower than the last pushed model's, more than {threshold.max_drop:g}")
    if threshold.significance is not None and change < 0 and p_value < threshold.significance:
        reasons.append(
            f"{title} is significantly lower than the last pushed model's: {change:.4f}, "
            f"p {p_value:.3g} < {threshold.significance:g}"
        )
    return reasons
