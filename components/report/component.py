"""The RunReport component."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import LogReport, Ranks, RunPage
from components.common.gates import gate_inputs
from components.report.executor import Executor


class RunReportSpec(ComponentSpec):
    """Inputs, outputs and parameters of RunReport."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("run_name", "settings", "model_code", "code_hash")}
    INPUTS = {
        "log_report": ChannelParameter(type=LogReport),
        **gate_inputs(),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "ranks": ChannelParameter(type=Ranks),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "supervised_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "grpo_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {"page": ChannelParameter(type=RunPage)}


class RunReport(base_component.BaseComponent):
    """Write the page of a run: verdicts and push, metrics, slices, training, data, what the model looks at, cost.

    Args:
        run_name: title of the page.
        settings: of the whole run, as plain values.
        model_code: hash of the source that made the model.
        code_hash: changes when the code of the report does.
        gates: verdicts by the names of `components.common.gates.GATES`.
        **inputs: the other channels, by the names of `RunReportSpec`.
    """

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        run_name: str,
        settings: dict[str, Any],
        model_code: str,
        code_hash: str,
        gates: Mapping[str, types.BaseChannel],
        **inputs: types.BaseChannel,
    ) -> None:
        super().__init__(
            RunReportSpec(
                **gates,
                **inputs,
                run_name=run_name,
                settings=json.dumps(settings, sort_keys=True),
                model_code=model_code,
                code_hash=code_hash,
                page=types.Channel(type=RunPage),
            )
        )
