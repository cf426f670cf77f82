"""The LogExampleGen component."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import Candidates, LogReport
from components.example_gen.executor import Executor
from components.example_gen.settings import LogSettings


class LogExampleGenSpec(ComponentSpec):
    """Parameters and outputs of LogExampleGen."""

    PARAMETERS = {
        "settings": ExecutionParameter(type=str),
        "input_fingerprint": ExecutionParameter(type=str),
        "code_hash": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "log_report": ChannelParameter(type=LogReport),
        "candidates": ChannelParameter(type=Candidates),
    }


class LogExampleGen(base_beam_component.BaseBeamComponent):
    """Turn search and recommendation logs into training timelines and ranking requests.

    A component of its own rather than a `FileBasedExampleGen`: Kubeflow never runs the driver hook that the latter
    fingerprints its input with. So the fingerprint is a parameter: on this machine it is taken when the pipeline is
    built, on Kubeflow by a step before this one.
    """

    SPEC_CLASS = LogExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, settings: LogSettings, input_fingerprint: str | data_types.RuntimeParameter, code_hash: str
    ) -> None:
        """Construct the component.

        Args:
            settings: what to read and how to split it.
            input_fingerprint: `fingerprint(settings)`, or where a run finds it; new data gives a new one and runs the
                component again.
            code_hash: of the component's code; only part of the cache key.
        """
        super().__init__(
            LogExampleGenSpec(
                settings=settings.to_json(),
                input_fingerprint=input_fingerprint,
                code_hash=code_hash,
                examples=types.Channel(type=standard_artifacts.Examples),
                log_report=types.Channel(type=LogReport),
                candidates=types.Channel(type=Candidates),
            )
        )
