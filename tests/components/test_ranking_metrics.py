"""HR@k and NDCG@k for the Evaluator, through their combiners, against scalar formulas."""

import math

import numpy as np
import pytest
from tensorflow_model_analysis.metrics import metric_types

from components.judgement import eval_config
from components.ranking_metrics import RankHitRate, RankNDCG

RANKS = [1, 2, 5, 6, 10, 11, 100, 1]


def _value(metric, predictions):
    [computation] = metric.computations(eval_config=eval_config(0.0, 0.0))
    return _combined(computation, [
        metric_types.StandardMetricInputs(label=np.array([0]), prediction=p, example_weight=None) for p in predictions])


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


def test_with_a_baseline_each_model_gets_its_own_ranks():
    predictions = [{"candidate": {"rank": np.array([1])}, "baseline": {"rank": np.array([50])}}] * 4
    config = eval_config(0.0, 0.0)
    config.model_specs[0].name = "candidate"
    baseline = config.model_specs.add()
    baseline.CopyFrom(config.model_specs[0])
    baseline.name, baseline.is_baseline = "baseline", True
    inputs = [metric_types.StandardMetricInputs(
        label={"candidate": np.array([0]), "baseline": np.array([0])}, prediction=p,
        example_weight=None) for p in predictions]
    computations = RankHitRate(k=1).computations(eval_config=config, model_names=["candidate", "baseline"])
    assert [_combined(computation, inputs) for computation in computations] == [1.0, 0.0]


def test_the_mean_over_no_request_is_not_a_number():
    [computation] = RankHitRate(k=1).computations(eval_config=eval_config(0.0, 0.0))
    combiner = computation.combiner
    [value] = combiner.extract_output(combiner.create_accumulator()).values()
    assert math.isnan(value)
