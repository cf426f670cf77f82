"""The ServableCheck component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import GateVerdict
from components.servable_check.executor import Executor
from components.servable_check.settings import ServableCheckSettings


class ServableCheckSpec(ComponentSpec):
    """Inputs, output and parameters of ServableCheck."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "code_hash")}
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {"verdict": ChannelParameter(type=GateVerdict)}


class ServableCheck(base_component.BaseComponent):
    """Stop the push of a SavedModel that does not load, answers wrongly, or has operations that it must not have.

    It stands in for TFX's InfraValidator, which needs Docker or Kubernetes and looks at no values.

    Args:
        model: with the SavedModel.
        examples: raw.
        transform_graph: of the same run.
        settings: limits.
        code_hash: changes when the code of the check does.
    """

    SPEC_CLASS = ServableCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        settings: ServableCheckSettings,
        code_hash: str,
    ) -> None:
        super().__init__(
            ServableCheckSpec(
                model=model,
                examples=examples,
                transform_graph=transform_graph,
                settings=settings.to_json(),
                code_hash=code_hash,
                verdict=types.Channel(type=GateVerdict),
            )
        )
