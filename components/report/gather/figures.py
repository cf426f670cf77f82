"""The figures of a run, gathered from its artifacts."""

import dataclasses
import datetime
import json
import os
from typing import Any

from tfx import types
from tfx.utils import io_utils, path_utils

from components.common.gates import RANKING_VERDICT, read_verdicts
from components.common.split_files import split_files
from components.common.verdict import Verdict
from components.evaluation.names import ALL, POPULARITY
from components.evaluator.results import evaluator_verdict, model_metrics
from components.example_gen.log_report import FILE_NAME as LOG_REPORT
from components.report.gather.cost import model_cost, training_rate
from components.report.gather.environment import environment
from components.report.gather.states import reasoning_states
from components.report.gather.training_curves import training_curves
from components.report.gather.used_searches import used_searches
from components.servable.saving import load
from model.data.requests import read_requests

STAGES = ("supervised", "grpo")


def run_figures(inputs: dict[str, types.Artifact], parameters: dict[str, Any]) -> dict[str, Any]:
    """All that `run.json` holds; docs/report.md names its parts.

    Args:
        inputs: artifacts of RunReport by name.
        parameters: its execution parameters.
    """
    settings = json.loads(parameters["settings"])
    log = json.loads(io_utils.read_string_file(os.path.join(inputs["log_report"].uri, LOG_REPORT)))
    verdicts = read_verdicts(inputs)
    evaluation = verdicts[RANKING_VERDICT].detail
    blessed = bool(inputs["blessing"].get_int_custom_property("blessed"))
    metrics = model_metrics(inputs["evaluation"].uri)
    metrics[POPULARITY] = {name: estimate["value"] for name, estimate in evaluation["models"][POPULARITY][ALL].items()}
    pushed = inputs["pushed_model"].get_string_custom_property
    return {
        "name": parameters["run_name"],
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "environment": {**environment(), "code": parameters["model_code"]},
        "settings": settings,
        "log": log,
        "metrics": metrics,
        "evaluation": evaluation,
        "gates": _gates(verdicts, evaluator_verdict(inputs["evaluation"].uri, blessed)),
        "blessed": blessed,
        "pushed": pushed("pushed_destination") or None,
        "version": pushed("pushed_version") or None,
        "push_reason": pushed("reason") or None,
        "training": {stage: training_curves(inputs[f"{stage}_run"].uri, stage) for stage in STAGES},
        **_of_model(inputs, settings, evaluation, log["splits"]["train_targets"]),
    }


def _gates(verdicts: dict[str, Verdict], evaluator: Verdict) -> list[dict[str, Any]]:
    """All verdicts in the order of the pipeline, where the Evaluator comes after DataCheck."""
    # The evaluation has a part of its own in the figures.
    first, *others = {**verdicts, RANKING_VERDICT: dataclasses.replace(verdicts[RANKING_VERDICT], detail={})}.values()
    return [dataclasses.asdict(verdict) for verdict in (first, evaluator, *others)]


def _of_model(
    inputs: dict[str, types.Artifact], settings: dict[str, Any], evaluation: dict[str, Any], targets: int
) -> dict[str, Any]:
    """`cost`, `states` and `used_searches`: what only the model itself tells."""
    directory, graph = path_utils.serving_model_path(inputs["model"].uri), inputs["transform_graph"].uri
    model = load(directory)
    requests = read_requests(split_files(inputs["transformed_examples"], "test"))
    rates = {
        stage: training_rate(inputs[f"{stage}_run"].uri, min(settings[stage]["batch_size"], targets), stage)
        for stage in STAGES
    }
    ranked = evaluation["requests"] * sum(role != POPULARITY for role in evaluation["models"])
    return {
        "cost": {
            **model_cost(model, directory),
            "rows_a_second": {**rates, "evaluation": ranked / evaluation["seconds"]},
            "seconds": {},
        },
        "states": reasoning_states(model, requests),
        "used_searches": used_searches(model, graph, split_files(inputs["examples"], "test")),
    }
