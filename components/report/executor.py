"""What RunReport does."""

import dataclasses
import json
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.gates import read_verdict
from components.report.evaluation import model_metrics
from components.report.page import metric_names, render
from components.report.popularity import popularity_metrics
from components.report.sample_request import sample_request
from components.split_files import split_files

FIGURES_FILE = "run.json"
PAGE_FILE = "run.md"
REQUEST_FILE = "request.json"


class Executor(base_executor.BaseExecutor):
    """Gathers the figures of a run into `run.json` and `run.md`.

    input_dict:
        log_report: counts of the log, with the rows set aside.
        verdict: of DataCheck.
        examples: raw, for a request to try the model with.
        transformed_examples: the train and test splits, for the popularity ranking.
        evaluation: of the Evaluator, with the baseline's metrics where there was one.
        blessing, pushed_model: the verdict, and where the model went.
    output_dict:
        page: these two files and `request.json`, a request of the test split.
    exec_properties:
        run_name: title of the page.
        code_hash: of this package; only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        one = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
        metrics = model_metrics(one["evaluation"].uri)
        metrics["popularity"] = popularity_metrics(
            split_files(one["transformed_examples"], "train"), split_files(one["transformed_examples"], "test"),
            metric_names(metrics))
        figures = {
            "name": exec_properties["run_name"],
            "log": json.loads(io_utils.read_string_file(os.path.join(one["log_report"].uri, "log_report.json"))),
            "data_check": dataclasses.asdict(read_verdict(one["verdict"])),
            "metrics": metrics,
            "blessed": bool(one["blessing"].get_int_custom_property("blessed")),
            "pushed": one["pushed_model"].get_string_custom_property("pushed_destination") or None,
            "version": one["pushed_model"].get_string_custom_property("pushed_version") or None,
            "push_reason": one["pushed_model"].get_string_custom_property("reason") or None,
        }
        page = artifact_utils.get_single_instance(output_dict["page"])
        io_utils.write_string_file(os.path.join(page.uri, FIGURES_FILE), json.dumps(figures, indent=2))
        io_utils.write_string_file(os.path.join(page.uri, PAGE_FILE), render(figures))
        request = sample_request(split_files(one["examples"], "test"))
        io_utils.write_string_file(os.path.join(page.uri, REQUEST_FILE), json.dumps(request, indent=2))
