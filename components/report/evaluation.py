"""Reads what the Evaluator measured."""

from typing import Any


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
        return {"candidate": _overall(tfma.load_eval_result(evaluation_uri))}
    return {name: _overall(tfma.load_eval_result(evaluation_uri, model_name=name)) for name in names}


def _overall(result: Any) -> dict[str, float]:
    values = dict(result.slicing_metrics)[()][""][""]
    numbers = {name: value["doubleValue"] for name, value in values.items() if "doubleValue" in value}
    return {name: float(number) for name, number in numbers.items()
            if name.startswith(("HR@", "NDCG@", "MRR")) and not name.endswith("_diff")}
