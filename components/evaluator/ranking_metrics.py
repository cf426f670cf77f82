"""HR@k, NDCG@k and MRR for the TFX Evaluator, from the ranks that the `rank_eval` signature returns.

An extract holds the ranks of a request or, as `components.evaluator.rank_extractors` makes them, those of a whole
batch. Ties are settled where the rank is made, by `model.objectives.metrics.pessimistic_rank`; here is nothing left to
settle.
"""

import functools
import math
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.evaluation.rank_values import rank_values


class _MeanOverRanks(beam.CombineFn):
    """Mean of `rank_values` over the requests of a slice; accumulators are (sum, number)."""

    def __init__(self, key: metric_types.MetricKey, metric: str, names: dict[str, Any]) -> None:
        self._key = key
        self._metric = metric
        self._names = names

    def create_accumulator(self) -> tuple[float, int]:
        return 0.0, 0

    def add_input(self, accumulator: tuple[float, int], element: Any) -> tuple[float, int]:
        total, number = accumulator
        # With a baseline, predictions of both models arrive; this call picks the ones of the model asked for.
        for _, prediction, _ in metric_util.to_label_prediction_example_weight(
            element, **self._names, flatten=False, allow_none=True
        ):
            ranks = np.ravel(prediction).astype(np.float64)
            total, number = total + float(rank_values(ranks, self._metric).sum()), number + len(ranks)
        return total, number

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        totals, numbers = zip(*accumulators, strict=True)
        return sum(totals), sum(numbers)

    def extract_output(self, accumulator: tuple[float, int]) -> dict[metric_types.MetricKey, float]:
        total, number = accumulator
        return {self._key: total / number if number else math.nan}


class _Number(_MeanOverRanks):
    def extract_output(self, accumulator: tuple[float, int]) -> dict[metric_types.MetricKey, float]:
        return {self._key: float(accumulator[1])}


# TFMA looks the parameters up by name, among those that are not keyword-only.
def _computations(  # noqa: PLR0917
    metric: str,
    metric_name: str,
    combine: type[_MeanOverRanks] = _MeanOverRanks,
    eval_config: Any = None,
    model_name: str = "",
    output_name: str = "",
    sub_key: Any = None,
    aggregation_type: Any = None,
    class_weights: Any = None,
    example_weighted: bool = False,
    **_: Any,
) -> list[metric_types.MetricComputation]:
    key = metric_types.MetricKey(
        name=metric_name,
        model_name=model_name,
        output_name=output_name,
        sub_key=sub_key,
        aggregation_type=aggregation_type,
        example_weighted=example_weighted,
    )
    names = {"eval_config": eval_config, "model_name": model_name, "output_name": output_name}
    return [
        metric_types.MetricComputation(
            keys=[key],
            combiner=combine(key, metric, names),
            preprocessors=[
                metric_types.StandardMetricInputsPreprocessor(
                    include_filter={constants.PREDICTIONS_KEY: {}}, include_default_inputs=False
                )
            ],
        )
    ]


class RankHitRate(metric_types.Metric):
    """HR@k: the share of requests whose positive is among the first k."""

    def __init__(self, k: int = 10, name: str = "") -> None:
        name = name or f"HR@{k}"
        make = functools.partial(_computations, f"HR@{k}", name)
        super().__init__(metric_util.merge_per_key_computations(make), k=k, name=name)


class RankNDCG(metric_types.Metric):
    """NDCG@k with one positive: the mean of 1 / log2(rank + 1) where rank <= k, else 0."""

    def __init__(self, k: int = 10, name: str = "") -> None:
        name = name or f"NDCG@{k}"
        make = functools.partial(_computations, f"NDCG@{k}", name)
        super().__init__(metric_util.merge_per_key_computations(make), k=k, name=name)


class RankMRR(metric_types.Metric):
    """MRR with one positive: the mean of 1 / rank over all requests, whatever the rank."""

    def __init__(self, name: str = "MRR") -> None:
        make = functools.partial(_computations, "MRR", name)
        super().__init__(metric_util.merge_per_key_computations(make), name=name)


class RankCount(metric_types.Metric):
    """The number of requests: `ExampleCount` would count extracts, which may hold many.

    `code_hash` changes nothing: the Evaluator is TFX's own, and what it is configured with is all that its cache sees.
    """

    def __init__(self, name: str = "requests", code_hash: str = "") -> None:
        del code_hash
        make = functools.partial(_computations, "MRR", name, _Number)
        super().__init__(metric_util.merge_per_key_computations(make), name=name)
