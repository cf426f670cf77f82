"""Reads what the TFX Evaluator measured, and why it did not bless a model."""

from typing import Any

from components.common.verdict import Verdict
from components.evaluation.names import CANDIDATE

GATE = "Evaluator"
_KINDS = ("HR@", "NDCG@", "MRR")


def model_metrics(evaluation_uri: str) -> dict[str, dict[str, float]]:
    """Metrics over all requests, by model.

    Args:
        evaluation_uri: directory of the Evaluator's `evaluation` artifact.

    Returns:
        `{"candidate": {"HR@1": ..., ...}}`, with a `baseline` beside it where the Evaluator had one.
    """
    import tensorflow_model_analysis as tfma

    names = [spec.name for spec in tfma.load_eval_result(evaluation_uri).config.model_specs]
    if len(names) == 1:
        return {CANDIDATE: _overall(tfma.load_eval_result(evaluation_uri))}
    return {name: _overall(tfma.load_eval_result(evaluation_uri, model_name=name)) for name in names}


def evaluator_verdict(evaluation_uri: str, blessed: bool) -> Verdict:
    """The Evaluator's judgement in the form of the other gates.

    Args:
        evaluation_uri: as above.
        blessed: what its `blessing` says; the reasons are those of the thresholds that were missed.
    """
    if blessed:
        return Verdict(GATE)
    import tensorflow_model_analysis as tfma

    result = tfma.load_validation_result(evaluation_uri)
    missed = [_reason(failure) for part in result.metric_validations_per_slice for failure in part.failures]
    return Verdict(GATE, tuple(missed) or ("the model was not blessed",))


def _reason(failure: Any) -> str:
    name, value = failure.metric_key.name, failure.metric_value.double_value.value
    if failure.metric_threshold.HasField("change_threshold"):
        allowed = -failure.metric_threshold.change_threshold.absolute.value
        return f"{name.removesuffix('_diff')} is {-value:.4f} lower than the last pushed model's, more than {allowed:g}"
    return f"{name} is {value:.4f}, below {failure.metric_threshold.value_threshold.lower_bound.value:g}"


def _overall(result: Any) -> dict[str, float]:
    values = dict(result.slicing_metrics)[()][""][""]
    numbers = {name: value["doubleValue"] for name, value in values.items() if "doubleValue" in value}
    return {
        name: float(number)
        for name, number in numbers.items()
        if name.startswith(_KINDS) and not name.endswith("_diff")
    }
