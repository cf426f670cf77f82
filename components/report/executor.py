"""What RunReport does."""

import json
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.common.executor import single_artifacts
from components.common.run_files import FIGURES_FILE, HTML_FILE, PAGE_FILE, REQUEST_FILE
from components.common.split_files import split_files
from components.evaluation.request_ranks import RANKS_FILE
from components.report.gather.figures import run_figures
from components.report.gather.sample_request import sample_request
from components.report.page.page import render, render_html


class Executor(base_executor.BaseExecutor):
    """Gathers the figures of a run into `run.json`, and writes the page from them.

    input_dict:
        log_report: counts of the log, with the rows set aside.
        verdict, ...: of the gates, `components.common.gates.GATES`; the detail of RankingCheck's holds the evaluation.
        evaluation, blessing: of the Evaluator.
        ranks: of RankingCheck; copied, for `lcr-ser compare`.
        examples: raw, for a request to try the model with and for the searches that a person can read.
        transformed_examples, transform_graph, model: for what the model looks at.
        supervised_run, grpo_run: logs of both stages.
        pushed_model: where the model went.
    output_dict:
        page: `run.json`, `run.html`, `run.md`, `ranks.parquet`, and `request.json`, a request of the test split.
    exec_properties:
        run_name: title of the page.
        settings: JSON of all settings of the run.
        model_code: hash of the source that made the model.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        inputs = single_artifacts(input_dict)
        figures = run_figures(inputs, exec_properties)
        request = sample_request(split_files(inputs["examples"], "test"))
        page = artifact_utils.get_single_instance(output_dict["page"])
        for name, text in (
            (FIGURES_FILE, json.dumps(figures, indent=2)),
            (HTML_FILE, render_html(figures)),
            (PAGE_FILE, render(figures)),
            (REQUEST_FILE, json.dumps(request, indent=2)),
        ):
            io_utils.write_string_file(os.path.join(page.uri, name), text)
        io_utils.copy_file(os.path.join(inputs["ranks"].uri, RANKS_FILE), os.path.join(page.uri, RANKS_FILE))
