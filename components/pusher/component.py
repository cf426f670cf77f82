"""The Pusher component."""

from collections.abc import Mapping

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.gates import gate_inputs
from components.pusher.executor import Executor


class PusherSpec(ComponentSpec):
    """Inputs, output and parameters of the Pusher."""

    PARAMETERS = {
        "serving_dir": ExecutionParameter(type=str),
        "keep_versions": ExecutionParameter(type=int),
        "model_code": ExecutionParameter(type=str),
        "code_hash": ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        **gate_inputs(),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Make a model that every gate lets pass the newest version of a directory that model servers follow.

    It stands in for the stock Pusher, which numbers versions by the second, copies them before the eyes of the servers,
    takes one blessing beside the Evaluator's, and knows nothing of an unchanged model.

    Args:
        model: to be pushed.
        model_blessing, evaluation: of the Evaluator.
        gates: verdicts by the names of `components.common.gates.GATES`.
        examples: that the model was made from.
        serving_dir: directory of versions.
        keep_versions: how many of them stay.
        model_code: hash of the source that made the model.
        code_hash: changes when the code of the Pusher does.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        gates: Mapping[str, types.BaseChannel],
        evaluation: types.BaseChannel,
        examples: types.BaseChannel,
        serving_dir: str,
        keep_versions: int,
        model_code: str,
        code_hash: str,
    ) -> None:
        super().__init__(
            PusherSpec(
                model=model,
                model_blessing=model_blessing,
                **gates,
                evaluation=evaluation,
                examples=examples,
                serving_dir=serving_dir,
                keep_versions=keep_versions,
                model_code=model_code,
                code_hash=code_hash,
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
