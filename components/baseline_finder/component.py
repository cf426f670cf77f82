"""The components that find the last pushed model: to compare with it, or to start from it."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.baseline_finder.executor import Executor


class BaselineFinderSpec(ComponentSpec):
    """Inputs, outputs and parameters of BaselineFinder."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("serving_dir", "code_hash")}
    INPUTS = {"candidate": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {"baseline": ChannelParameter(type=standard_artifacts.Model)}


class BaselineFinder(base_component.BaseComponent):
    """Take the newest pushed version as the baseline of a candidate; none on the first run.

    It stands in for the Resolver of the TFX examples, which open-source Kubeflow cannot run. The candidate is an
    input, so the answer is cached with it: a candidate is judged once, against what was served at that time, and
    an unchanged second run judges and pushes nothing again.
    """

    SPEC_CLASS = BaselineFinderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, candidate: types.BaseChannel, serving_dir: str, code_hash: str) -> None:
        super().__init__(
            BaselineFinderSpec(
                candidate=candidate,
                serving_dir=serving_dir,
                code_hash=code_hash,
                baseline=types.Channel(type=standard_artifacts.Model),
            )
        )


class WarmStartFinderSpec(ComponentSpec):
    """Inputs, outputs and parameters of WarmStartFinder."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("serving_dir", "code_hash")}
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"baseline": ChannelParameter(type=standard_artifacts.Model)}


class WarmStartFinder(base_component.BaseComponent):
    """Take the newest pushed version as what a training starts from; none on the first run.

    As with BaselineFinder the answer is cached, here with the data: new data is learned from where the last push ended,
    and an unchanged second run does not learn the same data again because the first one was pushed.
    """

    SPEC_CLASS = WarmStartFinderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples: types.BaseChannel, serving_dir: str, code_hash: str) -> None:
        super().__init__(
            WarmStartFinderSpec(
                examples=examples,
                serving_dir=serving_dir,
                code_hash=code_hash,
                baseline=types.Channel(type=standard_artifacts.Model),
            )
        )
