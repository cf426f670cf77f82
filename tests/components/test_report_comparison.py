"""Two sides of runs: what differs is named, and paired differences equal computations of other kinds."""

import statistics

import numpy as np
import pytest
from scipy import stats

from components.report.compare.comparison import compare_runs
from components.report.compare.comparison_tables import comparison_tables
from tests.support.run_pairs import METRICS, make_run

RNG = np.random.default_rng(5)
RANKS = RNG.integers(1, 30, 800)
PART = RNG.random(800) < 0.4


def _better(ranks, share=0.3, seed=1):
    """Ranks of which a share is one lower."""
    chosen = np.random.default_rng(seed).random(len(ranks)) < share
    return np.where(chosen, np.maximum(ranks - 1, 1), ranks)


def _gains(ranks):
    return np.array([1 / np.log2(1 + rank) if rank <= 5 else 0.0 for rank in ranks])


def test_a_run_does_not_differ_from_itself():
    run = make_run(RANKS, masks={"part: yes": PART})
    found = compare_runs([run], [run])
    assert not any(found[part] for part in ("settings", "environment", "data"))
    assert found["mixed"] == {"a": [], "b": []}
    assert found["requests"] == {"a": 800, "b": 800, "common": 800}
    for by_metric in found["paired"].values():
        assert list(by_metric) == list(METRICS)
        for one in by_metric.values():
            assert (one["value"], one["low"], one["high"], one["p_value"]) == (0, 0, 0, 1)


def test_a_constant_difference_has_no_noise():
    # One request in three ranks first instead of third: of its own slice, MRR rises by 2/3 in every resample.
    ranks, chosen = np.full(300, 3), np.arange(300) % 3 == 0
    a, b = (make_run(one, masks={"chosen": chosen}) for one in (ranks, np.where(chosen, 1, 3)))
    one = compare_runs([a], [b])["paired"]["chosen"]["MRR"]
    assert (one["value"], one["low"], one["high"]) == pytest.approx((2 / 3,) * 3, abs=1e-12)
    assert one["requests"] == 100
    back = compare_runs([b], [a])["paired"]["chosen"]["MRR"]
    assert (back["value"], back["low"], back["high"]) == pytest.approx((-2 / 3,) * 3, abs=1e-12)


def test_requests_are_paired_by_their_fingerprints():
    order = np.random.default_rng(3).permutation(800)
    better = _better(RANKS)
    a = make_run(RANKS, masks={"part: yes": PART})
    # The second has them in another order, lacks 100 and has 50 of its own; its own slices do not count.
    requests = np.concatenate([order[:700], np.arange(5000, 5050)])
    b = make_run(np.concatenate([better[order[:700]], np.ones(50)]), requests, {"part: yes": np.ones(750, bool)})
    found = compare_runs([a], [b])
    assert found["requests"] == {"a": 800, "b": 750, "common": 700}
    shared = np.isin(np.arange(800), order[:700])
    for name, rows in (("all", shared), ("part: yes", shared & PART)):
        one = found["paired"][name]["NDCG@5"]
        differences = _gains(better[rows]) - _gains(RANKS[rows])
        assert one["value"] == pytest.approx(differences.mean(), abs=1e-12)
        assert one["requests"] == rows.sum()
    assert found["metrics"]["MRR"]["b"]["value"] == pytest.approx((1 / better[order[:700]]).sum() / 750 + 50 / 750)


def test_a_paired_difference_agrees_with_a_loop_of_other_draws_and_the_t_test():
    better = _better(RANKS)
    one = compare_runs([make_run(RANKS)], [make_run(better)])["paired"]["all"]["NDCG@5"]
    differences = _gains(better) - _gains(RANKS)
    other = np.random.RandomState(9)
    low, high = np.percentile([differences[other.choice(800, 800)].mean() for _ in range(4000)], [2.5, 97.5])
    assert (one["low"], one["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert stats.ttest_rel(_gains(better), _gains(RANKS)).pvalue < 0.001
    assert one["p_value"] < 0.003


def test_noise_around_nothing_is_not_taken_for_a_difference():
    moved = RANKS.copy()
    moved[::2], moved[1::2] = RANKS[1::2], RANKS[::2]  # neighbours swap their ranks: all means stay
    one = compare_runs([make_run(RANKS)], [make_run(moved)])["paired"]["all"]["MRR"]
    assert one["value"] == pytest.approx(0, abs=1e-12)
    assert one["low"] < 0 < one["high"]
    assert one["p_value"] > 0.5


def test_seeds_are_averaged_request_by_request():
    a = [_better(RANKS, 0.1, seed) for seed in (1, 2, 3)]
    b = [_better(_better(RANKS, 0.5, seed), 0.5, seed + 10) for seed in (4, 5)]
    found = compare_runs([make_run(one) for one in a], [make_run(one) for one in b])
    for side, seeds in (("a", a), ("b", b)):
        values = [_gains(one).mean() for one in seeds]
        measured = found["metrics"]["NDCG@5"][side]
        assert (measured["value"], measured["std"]) == pytest.approx(
            (statistics.mean(values), statistics.stdev(values)), abs=1e-12
        )
        assert measured["runs"] == len(seeds)
    means = [sum(_gains(one) for one in seeds) / len(seeds) for seeds in (a, b)]
    one = found["paired"]["all"]["NDCG@5"]
    differences = means[1] - means[0]
    assert one["value"] == pytest.approx(differences.mean(), abs=1e-12)
    half = 1.96 * differences.std(ddof=1) / np.sqrt(800)
    assert (one["low"], one["high"]) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=0.15 * half
    )


def test_without_a_common_request_nothing_is_paired():
    found = compare_runs([make_run(RANKS)], [make_run(RANKS, np.arange(800) + 800)])
    assert found["requests"]["common"] == 0
    assert found["paired"] == {}
    assert found["metrics"]["MRR"]["a"]["value"] == pytest.approx((1 / RANKS).mean())
    [metrics, slices] = comparison_tables(found)
    assert metrics.columns == slices.columns == ["", "A", "B"]
    assert "No test request is in both sides (800 and 800 requests)" in metrics.notes[-1]


def test_a_slice_without_requests_has_no_figures():
    nobody = {"none": np.zeros(800, bool)}
    found = compare_runs([make_run(RANKS, masks=nobody)], [make_run(_better(RANKS), masks=nobody)])
    assert found["slices"]["none"]["a"]["value"] is None
    assert found["paired"]["none"]["MRR"]["value"] is None
    assert comparison_tables(found)[-1].rows[-1] == ["none", *["–"] * 4, "0"]


def test_what_went_in_differently_is_named_with_both_values():
    a = make_run(RANKS, name="first", settings={"model": {"dim": 32, "old": 1}, "warm_start": False})
    b = make_run(RANKS, name="second", settings={"model": {"dim": 64}, "warm_start": False, "new": [1, "x"]}, clicks=80)
    b.figures["environment"]["code"] = "beef"
    found = compare_runs([a], [b])
    assert found["settings"] == [
        {"name": "model.dim", "a": ["32"], "b": ["64"]},
        {"name": "model.old", "a": ["1"], "b": []},
        {"name": "new", "a": [], "b": ['[1, "x"]']},
    ]
    assert found["environment"] == [{"name": "code", "a": ['"c0de"'], "b": ['"beef"']}]
    assert found["data"] == [
        {"name": "log.clicks", "a": ["90"], "b": ["80"]},
        {"name": "rec.rows", "a": ["180"], "b": ["160"]},
    ]
    assert comparison_tables(found)[0].rows == [
        ["model.dim", "32", "64"],
        ["model.old", "1", "–"],
        ["new", "–", '[1, "x"]'],
    ]


def test_runs_of_a_side_that_are_no_seeds_are_named():
    runs = [
        make_run(RANKS, settings={"supervised": {"seed": seed}, "model": {"dim": dim}})
        for seed, dim in ((1, 32), (2, 32), (2, 64))
    ]
    assert compare_runs(runs[:2], runs[1:])["mixed"] == {"a": [], "b": ["model.dim"]}
    found = compare_runs(runs[:2], runs[:1])
    assert found["settings"] == [{"name": "supervised.seed", "a": ["1", "2"], "b": ["1"]}]
    notes = comparison_tables(compare_runs(runs[:2], runs[1:]))[-2].notes
    assert "The runs of B differ in model.dim: they are not seeds of the same settings." in notes


def test_tables_hold_the_figures():
    ranks = np.array([1, 1, 2, 2])  # MRR 0.75 and 0.625
    tables = comparison_tables(compare_runs([make_run(ranks)], [make_run([1, 2, 2, 2])]))
    assert [table.title for table in tables] == ["Test split", "NDCG@5 by slice"]
    assert tables[0].columns == ["", "A", "B", "B less A", "p"]
    row = {row[0]: row[1:] for row in tables[0].rows}["MRR"]
    assert [cell.split(" ")[0] for cell in row[:3]] == ["0.7500", "0.6250", "-0.1250"]
    assert tables[1].rows[0][-1] == "4"
    seeds = comparison_tables(compare_runs([make_run(ranks)] * 2, [make_run(ranks)]))
    assert seeds[0].columns[1:3] == ["A, mean ± std of 2 runs", "B"]
    assert {row[0]: row[1] for row in seeds[0].rows}["MRR"] == "0.7500 ± 0.0000"
