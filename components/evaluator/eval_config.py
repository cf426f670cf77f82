"""What the Evaluator measures, and what a model must reach to be blessed."""

import json
from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.names import metric_names
from model import contract

_CLASSES = {"HR": "RankHitRate", "NDCG": "RankNDCG", "MRR": "RankMRR"}
"""Of `components.evaluator.ranking_metrics`."""
MAIN_K = 5
"""NDCG at this k carries the thresholds."""


def eval_config(
    min_ndcg_5: float, max_ndcg_5_drop: float, ks: Sequence[int] = (1, 5, 10), code_hash: str = ""
) -> config_pb2.EvalConfig:
    """HR@k, NDCG@k and MRR of the `rank_eval` signature, and the two thresholds of a blessing.

    Args:
        ks: cut-offs of HR and NDCG.
        min_ndcg_5: NDCG@5 that a model must reach.
        max_ndcg_5_drop: how much lower than the baseline's its NDCG@5 may be; without a baseline, only the
            first threshold counts.
        code_hash: changes when the code of the evaluation does; only part of the cache key.

    Raises:
        ValueError: if `ks` lacks 5, on whose NDCG both thresholds lie, or holds one below 1 or twice.
    """
    if MAIN_K not in ks or min(ks) < 1 or len(set(ks)) < len(ks):
        raise ValueError(f"`ks` should hold {MAIN_K} and other different numbers from 1 on. Received: {list(ks)}.")
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": min_ndcg_5}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -max_ndcg_5_drop}
        ),
    )
    metrics = [
        config_pb2.MetricConfig(
            class_name="RankCount",
            module="components.evaluator.ranking_metrics",
            config=json.dumps({"code_hash": code_hash}),
        )
    ]
    for name in metric_names(ks):
        kind, _, k = name.partition("@")
        metrics.append(
            config_pb2.MetricConfig(
                class_name=_CLASSES[kind],
                module="components.evaluator.ranking_metrics",
                config=json.dumps({"k": int(k)} if k else {}),
                threshold=threshold if name == f"NDCG@{MAIN_K}" else None,
            )
        )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                # Named, because TFMA finds out by trying to load the model as one of Keras 2 first.
                model_type="tf_generic",
                signature_name=contract.SIGNATURE_RANK_EVAL,
                prediction_key="rank",
                label_key=contract.LABEL,
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )
