"""What ServableCheck does."""

from typing import Any

import tensorflow_transform as tft
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from components.common.executor import single_artifacts
from components.common.split_files import split_files
from components.common.verdict import write_verdict
from components.servable_check.check import check_servable
from components.servable_check.golden import golden_scores
from components.servable_check.requests import golden_requests
from components.servable_check.settings import ServableCheckSettings


class Executor(base_executor.BaseExecutor):
    """Judges whether a model can be served.

    input_dict:
        model: with the SavedModel.
        examples: raw; requests of its test split are sent.
        transform_graph: gives their ids.
    output_dict:
        verdict: a `GateVerdict`.
    exec_properties:
        settings: JSON of `ServableCheckSettings`.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        artifacts = single_artifacts(input_dict, output_dict)
        settings = ServableCheckSettings.from_json(exec_properties["settings"])
        transform = tft.TFTransformOutput(artifacts["transform_graph"].uri)
        directory = path_utils.serving_model_path(artifacts["model"].uri)
        records = golden_requests(split_files(artifacts["examples"], "test"), settings.requests)
        verdict = check_servable(directory, records, lambda: golden_scores(directory, transform, records), settings)
        write_verdict(artifacts["verdict"], verdict)
