"""HR@k, NDCG@k and MRR for the Evaluator, through their combiners, against scalar formulas and other libraries."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.names import metric_names
from components.evaluator import ranking_metrics
from components.evaluator.eval_config import eval_config
from components.evaluator.ranking_metrics import RankHitRate, RankMRR, RankNDCG
from model.evaluation.evaluator import ranking_metrics as means
from model.objectives.metrics import pessimistic_rank

RANKS = [1, 2, 5, 6, 10, 11, 100, 1]


def _value(metric, predictions):
    [computation] = metric.computations(eval_config=eval_config(0.0, 0.0))
    return _combined(
        computation,
        [
            metric_types.StandardMetricInputs(label=np.array([0]), prediction=p, example_weight=None)
            for p in predictions
        ],
    )


def _combined(computation, inputs):
    combiner = computation.combiner
    halves = []
    for half in (inputs[:3], inputs[3:]):
        accumulator = combiner.create_accumulator()
        for element in half:
            accumulator = combiner.add_input(accumulator, element)
        halves.append(accumulator)
    [value] = combiner.extract_output(combiner.merge_accumulators(halves)).values()
    return value


@pytest.mark.parametrize("k", [1, 5, 10])
def test_hit_rate_is_the_share_of_ranks_up_to_k(k):
    predictions = [np.array([rank]) for rank in RANKS]
    assert _value(RankHitRate(k=k), predictions) == pytest.approx(sum(rank <= k for rank in RANKS) / len(RANKS))


@pytest.mark.parametrize("k", [5, 10])
def test_ndcg_discounts_by_the_logarithm_of_the_rank(k):
    predictions = [np.array([rank]) for rank in RANKS]
    expected = np.mean([math.log(2) / math.log(rank + 1) if rank <= k else 0.0 for rank in RANKS])
    assert _value(RankNDCG(k=k), predictions) == pytest.approx(expected)


def test_mrr_is_the_mean_of_the_inverse_ranks():
    predictions = [np.array([rank]) for rank in (1, 2, 4, 100)]
    assert _value(RankMRR(), predictions) == pytest.approx((1 + 0.5 + 0.25 + 0.01) / 4)


def test_with_a_baseline_each_model_gets_its_own_ranks():
    predictions = [{"candidate": {"rank": np.array([1])}, "baseline": {"rank": np.array([50])}}] * 4
    config = eval_config(0.0, 0.0)
    config.model_specs[0].name = "candidate"
    baseline = config.model_specs.add()
    baseline.CopyFrom(config.model_specs[0])
    baseline.name, baseline.is_baseline = "baseline", True
    inputs = [
        metric_types.StandardMetricInputs(
            label={"candidate": np.array([0]), "baseline": np.array([0])}, prediction=p, example_weight=None
        )
        for p in predictions
    ]
    computations = RankHitRate(k=1).computations(eval_config=config, model_names=["candidate", "baseline"])
    assert [_combined(computation, inputs) for computation in computations] == [1.0, 0.0]


def test_the_mean_over_no_request_is_not_a_number():
    [computation] = RankHitRate(k=1).computations(eval_config=eval_config(0.0, 0.0))
    combiner = computation.combiner
    [value] = combiner.extract_output(combiner.create_accumulator()).values()
    assert math.isnan(value)


def _by_name(ranks, ks):
    """What the classes that `eval_config` names give, by the name of the metric."""
    found = {}
    for config in eval_config(0.0, 0.0, ks).metrics_specs[0].metrics[1:]:
        metric = getattr(ranking_metrics, config.class_name)(**json.loads(config.config))
        found[metric.get_config()["name"]] = _value(metric, [np.array([rank]) for rank in ranks])
    return found


def _in_numpy(scores, labels, ks):
    """The same from an order of the candidates in which the positive comes after all that tie with it."""
    rows = np.arange(len(scores))
    is_positive = np.zeros(scores.shape, bool)
    is_positive[rows, labels] = True
    order = np.lexsort((is_positive, -scores))
    places = np.argmax(is_positive[rows[:, None], order], 1)
    gains = np.zeros(scores.shape)
    gains[rows, places] = 1
    discounts = 1 / np.log2(np.arange(scores.shape[1]) + 2)
    found = {f"HR@{k}": gains[:, :k].sum(1).mean() for k in ks}
    found |= {f"NDCG@{k}": (gains * discounts)[:, :k].sum(1).mean() for k in ks if k > 1}
    return found | {"MRR": (gains / np.arange(1, scores.shape[1] + 1)).sum(1).mean()}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), distinct=st.integers(1, 30), ks=st.sets(st.integers(1, 12)))
def test_metrics_equal_numpy_with_many_ties_and_with_few(seed, distinct, ks):
    ks |= {5}
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, distinct, (17, 12)).astype(np.float32), rng.integers(0, 12, 17)
    ranks = pessimistic_rank(scores, labels).numpy()
    expected = _in_numpy(scores, labels, ks)
    assert _by_name(ranks, sorted(ks)) == pytest.approx(expected, abs=1e-9)
    assert means(ranks, metric_names(sorted(ks))) == pytest.approx(expected, abs=1e-6)


def test_a_constant_scorer_gets_no_more_than_chance():
    found = _by_name(pessimistic_rank(np.zeros((50, 100), np.float32), np.arange(50)).numpy(), (1, 5, 10))
    assert found == {"HR@1": 0, "HR@5": 0, "HR@10": 0, "NDCG@5": 0, "NDCG@10": 0, "MRR": pytest.approx(0.01)}


def test_a_sigmoid_that_saturates_gains_nothing():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(30, 20, (200, 100)), rng.integers(0, 100, 200)
    saturated = 1 / (1 + np.exp(-logits.astype(np.float32)))
    assert (saturated == 1).mean() > 0.5
    plain, squashed = (_by_name(pessimistic_rank(scores, labels).numpy(), (1, 5, 10)) for scores in (logits, saturated))
    assert all(squashed[name] <= plain[name] for name in plain)
    assert squashed["MRR"] < plain["MRR"]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph_too_scores_that_are_no_numbers_rank_last(jit_compile):
    rank = tf.function(pessimistic_rank, autograph=False, jit_compile=jit_compile)
    scores = tf.constant([[np.nan, 1.0, 2.0], [np.nan] * 3, [1.0, np.nan, 0.0], [0.0, 1.0, np.nan], [2.0, 1.0, 0.0]])
    assert rank(scores, tf.constant([1, 0, 1, 1, 1])).numpy().tolist() == [3, 3, 3, 2, 2]


def test_scores_that_are_no_numbers_rank_last():
    scores = np.array([[np.nan, 1, 2], [0, np.nan, 5]], np.float32)
    np.testing.assert_array_equal(pessimistic_rank(scores, np.array([0, 2])), [3, 2])


@pytest.mark.parametrize("ks", [(1, 10), (0, 5), (5, 5)])
def test_cut_offs_that_make_no_sense_are_refused(ks):
    with pytest.raises(ValueError, match="`ks` should hold 5"):
        eval_config(0.0, 0.0, ks)


def _runs_without_ties(requests=40, candidates=30):
    rng = np.random.default_rng(3)
    scores = rng.permuted(np.tile(np.arange(candidates, dtype=np.float32), (requests, 1)), axis=1)
    labels = rng.integers(0, candidates, requests)
    qrels = {f"q{row}": {f"d{label}": 1} for row, label in enumerate(labels)}
    run = {f"q{row}": {f"d{item}": float(score) for item, score in enumerate(line)} for row, line in enumerate(scores)}
    return _by_name(pessimistic_rank(scores, labels).numpy(), (1, 5, 10)), qrels, run


@pytest.mark.long
@pytest.mark.slow
def test_metrics_equal_ranx_without_ties():
    import ranx  # compiles for a minute

    found, qrels, run = _runs_without_ties()
    theirs = ranx.evaluate(
        ranx.Qrels(qrels), ranx.Run(run), ["hit_rate@1", "hit_rate@5", "hit_rate@10", "ndcg@5", "ndcg@10", "mrr"]
    )
    assert list(found.values()) == pytest.approx(list(theirs.values()), abs=1e-6)


def test_metrics_equal_ir_measures_without_ties():
    import ir_measures as ir

    found, qrels, run = _runs_without_ties()
    names = {
        "HR@1": ir.Success @ 1,
        "HR@5": ir.Success @ 5,
        "HR@10": ir.Success @ 10,
        "NDCG@5": ir.nDCG @ 5,
        "NDCG@10": ir.nDCG @ 10,
        "MRR": ir.RR,
    }
    theirs = ir.calc_aggregate(list(names.values()), qrels, run)
    assert found == pytest.approx({name: theirs[measure] for name, measure in names.items()}, abs=1e-6)
