"""What the Evaluator measures, and what a model must reach to be blessed."""

import json

from tensorflow_model_analysis.proto import config_pb2

from model import inputs as contract

METRICS: tuple[tuple[str, int], ...] = (
    ("RankHitRate", 1), ("RankHitRate", 5), ("RankHitRate", 10), ("RankNDCG", 5), ("RankNDCG", 10))
"""Class of `components.ranking_metrics` and k, in the order of the paper's tables."""
MAIN_METRIC = ("RankNDCG", 5)


def eval_config(min_ndcg_5: float, max_ndcg_5_drop: float) -> config_pb2.EvalConfig:
    """HR@1/5/10 and NDCG@5/10 of the `rank_eval` signature, and the two thresholds of a blessing.

    Args:
        min_ndcg_5: NDCG@5 that a model must reach.
        max_ndcg_5_drop: how much lower than the baseline's its NDCG@5 may be; without a baseline, only the
            first threshold counts.
    """
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": min_ndcg_5}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -max_ndcg_5_drop}))
    metrics = [config_pb2.MetricConfig(class_name="ExampleCount")]
    for kind, k in METRICS:
        metrics.append(config_pb2.MetricConfig(
            class_name=kind, module="components.ranking_metrics", config=json.dumps({"k": k}),
            threshold=threshold if (kind, k) == MAIN_METRIC else None))
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(
            # Named, because TFMA finds out by trying to load the model as one of Keras 2 first.
            model_type="tf_generic",
            signature_name=contract.SIGNATURE_RANK_EVAL, prediction_key="rank", label_key=contract.LABEL)],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)])
