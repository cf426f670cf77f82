"""Bootstrap intervals and paired tests, against plain loops, the normal approximation and known truths."""

import math

import numpy as np
import pytest
from scipy import stats

from components.evaluation.intervals import estimate_means, estimate_metrics, over_seeds
from components.evaluation.rank_values import rank_values
from model.objectives.metrics import metric_values

METRICS = ("HR@1", "HR@10", "NDCG@5", "MRR")


def _ranks(seed, size=400, low=1, high=100):
    return np.random.default_rng(seed).integers(low, high + 1, size).astype(np.int32)


def _mean(ranks, metric):
    return {
        "HR@1": np.mean(ranks <= 1),
        "HR@10": np.mean(ranks <= 10),
        "MRR": np.mean(1 / ranks),
        "NDCG@5": np.mean((ranks <= 5) / np.log2(1 + ranks)),
    }[metric]


def test_values_are_means_in_each_slice():
    ranks, mask = {"a": _ranks(0), "b": _ranks(1)}, _ranks(2) > 60
    found = estimate_metrics(ranks, {"all": np.ones(400, bool), "part": mask}, METRICS, resamples=20)
    for metric in METRICS:
        for name, of_model in ranks.items():
            assert found.models[name]["all"][metric].value == pytest.approx(_mean(of_model, metric), abs=1e-6)
            assert found.models[name]["part"][metric].value == pytest.approx(_mean(of_model[mask], metric), abs=1e-6)
        assert found.differences["b"]["part"][metric].value == pytest.approx(
            _mean(ranks["a"][mask], metric) - _mean(ranks["b"][mask], metric), abs=1e-6
        )
    assert found.models["a"]["part"]["MRR"].requests == mask.sum()


def test_intervals_agree_with_the_normal_approximation():
    ranks = {"a": _ranks(0, 3000, high=20), "b": _ranks(1, 3000, high=25)}
    mask = _ranks(2, 3000) > 30
    found = estimate_metrics(ranks, {"part": mask}, ["MRR"], resamples=4000)
    inverse = [1 / ranks[name][mask] for name in "ab"]
    for estimate, sample in (
        (found.models["a"]["part"]["MRR"], inverse[0]),
        (found.differences["b"]["part"]["MRR"], inverse[0] - inverse[1]),
    ):
        half = 1.96 * sample.std(ddof=1) / math.sqrt(len(sample))
        assert estimate.low == pytest.approx(sample.mean() - half, abs=0.1 * half)
        assert estimate.high == pytest.approx(sample.mean() + half, abs=0.1 * half)


def test_resamples_equal_a_plain_loop():
    ranks = {name: _ranks(seed, 50) for seed, name in enumerate(("a", "b", "c"))}
    masks = {"all": np.ones(50, bool), "part": _ranks(3, 50) > 50, "overlapping": _ranks(4, 50) > 30}
    found = estimate_metrics(ranks, masks, METRICS, resamples=200, seed=7)
    drawn = np.random.default_rng(7).integers(0, 50, (200, 50))
    for name, mask in masks.items():
        for metric in METRICS:
            means = {
                model: np.array([_mean(of_model[rows][mask[rows]], metric) for rows in drawn])
                for model, of_model in ranks.items()
            }
            for estimate, expected in (
                *((found.models[model][name][metric], means[model]) for model in ranks),
                *((found.differences[other][name][metric], means["a"] - means[other]) for other in "bc"),
            ):
                assert (estimate.low, estimate.high) == pytest.approx(np.percentile(expected, [2.5, 97.5]), abs=1e-9)


def test_each_difference_agrees_with_a_plain_loop_of_other_draws():
    a = _ranks(0, 600, high=20)
    ranks = {"a": a, "b": np.minimum(a + _ranks(1, 600, high=3), 20), "c": _ranks(2, 600, high=20)}
    mask = _ranks(3, 600) > 40
    found = estimate_metrics(ranks, {"part": mask}, ["NDCG@5"], resamples=4000).differences
    assert list(found) == ["b", "c"]
    rng = np.random.RandomState(11)
    for other, by_slice in found.items():
        gains = [(one <= 5) / np.log2(1 + one) for one in (a[mask], ranks[other][mask])]
        means = [np.mean((gains[0] - gains[1])[rng.choice(mask.sum(), mask.sum())]) for _ in range(4000)]
        estimate, width = by_slice["part"]["NDCG@5"], np.ptp(np.percentile(means, [2.5, 97.5]))
        assert (estimate.low, estimate.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.06 * width)
        assert estimate.p_value == pytest.approx(
            min(1, 2 * min(np.mean(np.less_equal(means, 0)), np.mean(np.greater_equal(means, 0)))), abs=0.05
        )


def test_values_of_requests_are_compared_as_ranks_are():
    ranks, masks = {"a": _ranks(0), "b": _ranks(1)}, {"part": _ranks(2) > 60}
    values = {name: {"MRR": 1 / one} for name, one in ranks.items()}
    assert estimate_means(values, masks, seed=3) == estimate_metrics(ranks, masks, ["MRR"], seed=3)


def test_a_metric_of_a_rank_is_that_of_training():
    ranks = np.arange(1, 200)
    for metric in (*METRICS, "NDCG@20", "HR@100"):
        np.testing.assert_allclose(rank_values(ranks, metric), metric_values(ranks, metric).numpy(), rtol=1e-6)


def test_a_paired_test_agrees_with_the_t_test():
    a = _ranks(0, 2000, high=20)
    for b in (np.where(_ranks(1, 2000) <= 4, a + 1, a - (_ranks(2, 2000) <= 2) * (a > 1)), a + 1):
        found = estimate_metrics({"a": a, "b": b}, {"all": np.ones(2000, bool)}, ["MRR"], resamples=4000)
        expected = max(stats.ttest_rel(1 / a, 1 / b).pvalue, 2 / 4001)
        assert found.differences["b"]["all"]["MRR"].p_value == pytest.approx(expected, rel=0.25, abs=0.02)


def test_equal_models_do_not_differ():
    found = estimate_metrics({"a": _ranks(0), "b": _ranks(0)}, {"all": np.ones(400, bool)}, METRICS, resamples=50)
    differences = found.differences["b"]["all"].values()
    assert {(one.value, one.low, one.high, one.p_value) for one in differences} == {(0, 0, 0, 1)}


def test_an_interval_covers_the_truth_as_often_as_it_says():
    truth = np.mean(1 / np.arange(1, 21))
    hits = 0
    for seed in range(200):
        one = estimate_metrics(
            {"a": _ranks(seed, 200, high=20)}, {"all": np.ones(200, bool)}, ["MRR"], resamples=300, seed=seed
        ).models["a"]["all"]["MRR"]
        hits += one.low <= truth <= one.high
    # 190 are expected; 176 or fewer have a probability below 0.0001.
    assert hits > 176


def test_a_slice_without_requests_says_so():
    found = estimate_metrics({"a": _ranks(0), "b": _ranks(1)}, {"none": np.zeros(400, bool)}, ["MRR"], resamples=5)
    for one in (found.models["a"]["none"]["MRR"], found.differences["b"]["none"]["MRR"]):
        assert (one.value, one.low, one.high, one.requests, one.p_value) == (None, None, None, 0, None)


def test_a_slice_of_one_request_has_an_interval():
    one = estimate_metrics({"a": _ranks(0)}, {"one": np.arange(400) == 3}, ["MRR"]).models["a"]["one"]["MRR"]
    assert one.value == one.low == one.high == pytest.approx(1 / _ranks(0)[3])


def test_the_same_seed_gives_the_same_interval():
    def interval(seed):
        return estimate_metrics({"a": _ranks(0)}, {"all": np.ones(400, bool)}, ["MRR"], seed=seed)

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


@pytest.mark.parametrize("ranks", [{}, {"a": _ranks(0)}, {"a": _ranks(0), "b": np.ones(3, int)}])
def test_lengths_must_agree(ranks):
    with pytest.raises(ValueError, match="at least one model and as long as `masks`"):
        estimate_metrics(ranks, {"all": np.ones(3, bool)}, ["MRR"])


def test_seeds_are_a_mean_and_a_standard_deviation():
    found = over_seeds([{"MRR": 1.0, "HR@1": 0.5}, {"MRR": 3.0, "HR@1": 0.5, "HR@2": 1.0}])
    assert found == {
        "MRR": {"mean": 2.0, "std": pytest.approx(math.sqrt(2)), "runs": 2},
        "HR@1": {"mean": 0.5, "std": 0.0, "runs": 2},
    }
    assert math.isnan(over_seeds([{"MRR": 1.0}])["MRR"]["std"])
