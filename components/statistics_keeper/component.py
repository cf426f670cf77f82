"""The StatisticsKeeper component."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import KeptStatistics
from components.data_check.pushed_statistics import keep, split_statistics


class Executor(base_executor.BaseExecutor):
    """Stores the statistics of a run whose model was pushed, for the DataCheck of later runs.

    input_dict:
        statistics: of StatisticsGen.
        pushed_model: of the Pusher.
    output_dict:
        kept: whether there was a push.
    exec_properties:
        statistics_dir: where to store them.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        pushed = artifact_utils.get_single_instance(input_dict["pushed_model"])
        version = pushed.get_string_custom_property("pushed_version")
        if version:
            statistics = split_statistics(artifact_utils.get_single_instance(input_dict["statistics"]))
            keep(statistics, exec_properties["statistics_dir"], version)
        artifact_utils.get_single_instance(output_dict["kept"]).set_int_custom_property("kept", int(bool(version)))


class StatisticsKeeperSpec(ComponentSpec):
    """Inputs, output and parameters of StatisticsKeeper."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("statistics_dir", "code_hash")}
    INPUTS = {
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {"kept": ChannelParameter(type=KeptStatistics)}


class StatisticsKeeper(base_component.BaseComponent):
    """Store the statistics of a pushed run under the version of its model."""

    SPEC_CLASS = StatisticsKeeperSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, statistics: types.BaseChannel, pushed_model: types.BaseChannel, statistics_dir: str, code_hash: str
    ) -> None:
        super().__init__(
            StatisticsKeeperSpec(
                statistics=statistics,
                pushed_model=pushed_model,
                statistics_dir=statistics_dir,
                code_hash=code_hash,
                kept=types.Channel(type=KeptStatistics),
            )
        )
