"""Thresholds on slices: what stops a push, with which words, and what does not."""

import numpy as np
import pytest

from components.evaluation.intervals import Comparison, Estimate, estimate_metrics
from components.evaluation.threshold import Threshold
from components.evaluation.thresholds import threshold_verdict


def _comparison(value=0.5, change=None, p_value=0.5, requests=500):
    differences = {"popularity": {"part": {"MRR": Estimate(-0.9, -1.0, -0.8, requests, 0.001)}}}
    if change is not None:
        differences["baseline"] = {"part": {"MRR": Estimate(change, -1.0, 1.0, requests, p_value)}}
    return Comparison({"candidate": {"part": {"MRR": Estimate(value, 0.0, 1.0, requests)}}}, differences)


def _judge(comparison, **threshold):
    return threshold_verdict(comparison, {"part": {"MRR": Threshold(**threshold)}})


@pytest.mark.parametrize(
    ("comparison", "threshold", "reason"),
    [
        (_comparison(0.1), {"min": 0.2}, "MRR of 'part' is 0.1000, below 0.2"),
        (_comparison(float("nan")), {"min": 0.2}, "MRR of 'part' is nan, below 0.2"),
        (
            _comparison(change=-0.03),
            {"max_drop": 0.02},
            "MRR of 'part' is 0.0300 lower than the last pushed model's, more than 0.02",
        ),
        (
            _comparison(change=-0.01, p_value=0.001),
            {"significance": 0.01},
            "MRR of 'part' is significantly lower than the last pushed model's: -0.0100, p 0.001 < 0.01",
        ),
    ],
)
def test_a_missed_threshold_is_a_reason(comparison, threshold, reason):
    verdict = _judge(comparison, **threshold)
    assert verdict.reasons == (reason,)
    assert not verdict.passed


@pytest.mark.parametrize(
    ("comparison", "threshold"),
    [
        (_comparison(0.2), {"min": 0.2}),
        (_comparison(change=-0.02), {"max_drop": 0.02}),
        (_comparison(change=-0.01, p_value=0.02), {"significance": 0.01}),
        (_comparison(change=0.01, p_value=0.001), {"significance": 0.01, "max_drop": 0.0}),
    ],
)
def test_a_kept_threshold_is_none(comparison, threshold):
    verdict = _judge(comparison, **threshold)
    assert verdict.passed
    assert not verdict.notes


def test_a_small_slice_is_noted_and_stops_nothing():
    verdict = _judge(_comparison(0.1, requests=99), min=0.2)
    assert (verdict.reasons, verdict.notes) == ((), ("MRR of 'part' was not judged: 99 requests, fewer than 100",))


def test_without_a_pushed_model_that_is_noted():
    verdict = _judge(_comparison(), max_drop=0.0)
    assert (verdict.reasons, verdict.notes) == ((), ("MRR of 'part' was not compared: no model was pushed yet",))


def test_a_threshold_on_what_was_not_measured_is_refused():
    for thresholds in ({"nope": {"MRR": Threshold(min=0)}}, {"part": {"HR@3": Threshold(min=0)}}):
        with pytest.raises(ValueError, match="should be on slices and metrics that are measured"):
            threshold_verdict(_comparison(), thresholds)


@pytest.mark.parametrize("values", [{"significance": 0.0}, {"significance": 1.0}, {"max_drop": -0.1}])
def test_thresholds_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match="should"):
        Threshold(**values)


def test_a_model_that_is_worse_on_one_slice_alone_is_stopped_there():
    rng = np.random.default_rng(0)
    mask, baseline = rng.random(2000) < 0.3, rng.integers(1, 20, 2000)
    candidate = np.where(mask, baseline + 3, np.maximum(baseline - 2, 1))
    found = estimate_metrics(
        {"candidate": candidate, "baseline": baseline}, {"all": np.ones(2000, bool), "part": mask}, ["NDCG@5"]
    )
    limits = {name: {"NDCG@5": Threshold(significance=0.01)} for name in ("all", "part")}
    [reason] = threshold_verdict(found, limits).reasons
    assert reason.startswith("NDCG@5 of 'part' is significantly lower")
    assert threshold_verdict(found, limits).detail["models"]["candidate"]["part"]["NDCG@5"]["requests"] == mask.sum()
