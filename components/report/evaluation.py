"""Reads what the Evaluator measured."""

import math


def model_metrics(evaluation_uri: str) -> dict[str, dict[str, float]]:
    """Metrics over all requests, by model.

    Args:
        evaluation_uri: directory of the Evaluator's `evaluation` artifact.

    Returns:
        `{"candidate": {"HR@1": ..., ...}}`, with a `baseline` beside it where the Evaluator had one.
    """
    import tensorflow_model_analysis as tfma

    results = tfma.load_eval_results(evaluation_uri).get_results()
    return {_role(result): _overall(result) for result in results}


def _role(result: object) -> str:
    specs = result.config.model_specs  # type: ignore[attr-defined]
    return "baseline" if specs and all(spec.is_baseline for spec in specs) else "candidate"


def _overall(result: object) -> dict[str, float]:
    slices = dict(result.slicing_metrics)  # type: ignore[attr-defined]
    values = slices[()][""][""]
    plain = {name: float(value["doubleValue"]) for name, value in values.items() if "doubleValue" in value}
    return {name: value for name, value in plain.items() if "@" in name and not math.isnan(value)}
