"""The DataCheck component."""

import hashlib

from apache_beam.io.filesystems import FileSystems
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.common.artifacts import GateVerdict, LogReport
from components.common.file_patterns import beam_pattern
from components.data_check.executor import Executor
from components.data_check.settings import DataCheckSettings


class DataCheckSpec(ComponentSpec):
    """Inputs, outputs and parameters of DataCheck."""

    PARAMETERS = {
        name: ExecutionParameter(type=str)
        for name in ("settings", "serving_dir", "statistics_dir", "requests_fingerprint", "code_hash")
    }
    INPUTS = {
        "log_report": ChannelParameter(type=LogReport),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }
    OUTPUTS = {"verdict": ChannelParameter(type=GateVerdict)}


class DataCheck(base_beam_component.BaseBeamComponent):
    """Stop the push where too much cannot be read, or data has anomalies, drifted, or is not what is served.

    The last push is found in its directory and not by a Resolver, which open-source Kubeflow cannot run. As with
    BaselineFinder the verdict is cached with its inputs: the same data is judged once, against what was pushed then.
    """

    SPEC_CLASS = DataCheckSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        log_report: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        anomalies: types.BaseChannel,
        settings: DataCheckSettings,
        serving_dir: str,
        statistics_dir: str,
        code_hash: str,
    ) -> None:
        super().__init__(
            DataCheckSpec(
                log_report=log_report,
                statistics=statistics,
                schema=schema,
                anomalies=anomalies,
                settings=settings.to_json(),
                serving_dir=serving_dir,
                statistics_dir=statistics_dir,
                requests_fingerprint=requests_fingerprint(settings.serving_requests),
                code_hash=code_hash,
                verdict=types.Channel(type=GateVerdict),
            )
        )


def requests_fingerprint(pattern: str | None) -> str:
    """Names, sizes and times of the files of served requests, as a hash; "" without any."""
    files = FileSystems.match([beam_pattern(pattern)])[0].metadata_list if pattern else []
    known = sorted((file.path, file.size_in_bytes, file.last_updated_in_seconds) for file in files)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16] if known else ""
