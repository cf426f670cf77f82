"""The RunReport component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.example_gen.artifacts import LogReport
from components.gates import GateVerdict
from components.report.executor import Executor


class RunPage(Artifact):
    """`run.md`, the page of a run, and `run.json`, its figures."""

    TYPE_NAME = "RunPage"


class RunReportSpec(ComponentSpec):
    """Inputs, outputs and parameters of RunReport."""

    PARAMETERS = {"run_name": ExecutionParameter(type=str), "code_hash": ExecutionParameter(type=str)}
    INPUTS = {
        "log_report": ChannelParameter(type=LogReport),
        "verdict": ChannelParameter(type=GateVerdict),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {"page": ChannelParameter(type=RunPage)}


class RunReport(base_component.BaseComponent):
    """Write the page of a run: data, its check, metrics beside popularity and baseline, verdict and push."""

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        log_report: types.BaseChannel,
        verdict: types.BaseChannel,
        examples: types.BaseChannel,
        transformed_examples: types.BaseChannel,
        evaluation: types.BaseChannel,
        blessing: types.BaseChannel,
        pushed_model: types.BaseChannel,
        run_name: str,
        code_hash: str,
    ) -> None:
        super().__init__(RunReportSpec(
            log_report=log_report, verdict=verdict, examples=examples, transformed_examples=transformed_examples,
            evaluation=evaluation, blessing=blessing, pushed_model=pushed_model, run_name=run_name,
            code_hash=code_hash, page=types.Channel(type=RunPage)))
