"""What DataCheck does."""

import json
import os
from typing import Any

import tensorflow_data_validation as tfdv
from apache_beam.io.filesystems import FileSystems
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils
from tfx_bsl.public import tfxio

from components.common.executor import single_artifacts
from components.common.file_patterns import beam_pattern
from components.common.verdict import write_verdict
from components.data_check.comparison import Measurement, measure_distances
from components.data_check.judge import GATE, data_verdict
from components.data_check.pushed_statistics import find, split_statistics
from components.data_check.settings import DataCheckSettings
from components.example_gen.log_report import FILE_NAME, too_many_bad_rows


class Executor(base_beam_executor.BaseBeamExecutor):
    """Judges the data of a run: against the schema, the last pushed run, and the requests that were served.

    input_dict:
        log_report: of ExampleGen, with the rows that it set aside.
        statistics: of StatisticsGen; its test split is compared.
        schema: what the served requests are validated against.
        anomalies: of ExampleValidator.
    output_dict:
        verdict: a `GateVerdict`.
    exec_properties:
        settings: JSON of `DataCheckSettings`.
        serving_dir: directory of pushed versions.
        statistics_dir: directory of their statistics.
        requests_fingerprint, code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102, N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        artifacts = single_artifacts(input_dict, output_dict)
        settings = DataCheckSettings.from_json(exec_properties["settings"])
        current = split_statistics(artifacts["statistics"])
        anomalies, notes = _schema_anomalies(artifacts["anomalies"]), []
        measurements: list[Measurement] = []

        previous = find(exec_properties["statistics_dir"], exec_properties["serving_dir"])
        if previous is None:
            notes.append("drift was not checked: no statistics of a pushed version")
        else:
            measurements += measure_distances(current, previous, settings.drift, "drift")
        if settings.serving_requests is None:
            notes.append("skew was not checked: `data_check.serving_requests` names no requests")
        else:
            served = self._served_statistics(settings.serving_requests)
            schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(artifacts["schema"].uri))
            anomalies["serving requests"] = tfdv.validate_statistics(served, schema)
            measurements += measure_distances(current, served, settings.skew, "skew")
        write_verdict(
            artifacts["verdict"],
            data_verdict(anomalies, measurements, notes, _bad_rows(artifacts["log_report"], settings.max_bad_share)),
        )

    def _served_statistics(self, pattern: str) -> Statistics:
        """Statistics of request Examples, as StatisticsGen makes them."""
        files = beam_pattern(pattern)
        if not FileSystems.match([files])[0].metadata_list:
            raise ValueError(f"`data_check.serving_requests` should match files. Received: {pattern}, without a match.")
        path = os.path.join(self._get_tmp_dir(), "served_statistics")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "ReadRequests" >> tfxio.TFExampleRecord(files, telemetry_descriptors=[GATE]).BeamSource()
                | "MakeStatistics" >> tfdv.GenerateStatistics()
                | "WriteStatistics" >> tfdv.WriteStatisticsToBinaryFile(path)
            )
        return tfdv.load_stats_binary(path)


def _bad_rows(artifact: types.Artifact, max_bad_share: float) -> list[str]:
    report = json.loads(io_utils.read_string_file(os.path.join(artifact.uri, FILE_NAME)))
    return [reason for file in report["files"] if (reason := too_many_bad_rows(file, max_bad_share))]


def _schema_anomalies(artifact: types.Artifact) -> dict[str, anomalies_pb2.Anomalies]:
    splits = artifact_utils.decode_split_names(artifact.split_names)
    return {
        split: anomalies_pb2.Anomalies.FromString(
            io_utils.read_bytes_file(os.path.join(artifact.uri, f"Split-{split}", "SchemaDiff.pb"))
        )
        for split in splits
    }
