"""Runs the Beam steps of LogExampleGen and judges what came out."""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import apache_beam as beam
from absl import logging
from tfx import types
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.example_gen import flow
from components.example_gen.checks import require_usable
from components.example_gen.log_report import FILE_NAME, format_counts
from components.example_gen.read_cache import ReadCache
from components.example_gen.settings import LogSettings
from components.example_gen.shard_files import PARTIAL, ShardFiles
from components.example_gen.spans import find_beside, find_logs
from components.example_gen.splits import SPLITS


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads a log and writes timelines and requests as gzip TFRecords of tf.Examples."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run.

        Args:
            input_dict: empty.
            output_dict:
                - examples: `Split-train`, `Split-eval` and `Split-test`, each `data_tfrecord-*.gz`.
                - candidates: `candidates-*.parquet` where `export_candidates` asks for them.
                - log_report: `log_report.json`.
            exec_properties:
                - settings: JSON of `LogSettings`.
                - input_fingerprint: of the files, for the cache; kept as a property of `examples`.
                - code_hash: of the code, for the cache alone.

        Raises:
            LogError: for a log that cannot be used; nothing downstream runs then.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        settings = LogSettings.from_json(exec_properties["settings"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        report_path = os.path.join(artifact_utils.get_single_uri(output_dict["log_report"]), FILE_NAME)
        _describe(examples, exec_properties["input_fingerprint"])
        output = ShardFiles(
            {split: artifact_utils.get_split_uri([examples], split) for split in SPLITS},
            os.path.join(examples.uri, PARTIAL),
            artifact_utils.get_single_uri(output_dict["candidates"]) if settings.export_candidates else "",
        )
        cache = ReadCache(settings.read_cache, exec_properties["code_hash"])
        found = find_logs(settings)
        with _whole_or_nothing([*output.split_uris.values(), output.partial_uri, output.candidates_uri]):
            with self._make_beam_pipeline() as pipeline:
                # Once for all workers; a log that was read before the turn of a year is read again after it.
                last_year = datetime.now(timezone.utc).year + 1
                report = flow.build(
                    pipeline, found, settings, output, cache, beside=find_beside(settings, found), last_year=last_year
                )
                _ = report | "WriteReport" >> beam.Map(flow.write_text, report_path)
        fileio.rmtree(output.partial_uri)
        report = json.loads(io_utils.read_string_file(report_path))
        require_usable(report)
        if kept := {file["kept_as"] for file in report["files"] if file["kept_as"]}:
            cache.forget_others(kept)
        logging.info("%s", format_counts(report))


@contextlib.contextmanager
def _whole_or_nothing(directories: list[str]) -> Iterator[None]:
    """Make directories, empty where an earlier try of the same step left files, and delete them if this one fails."""
    named = [directory for directory in directories if directory]
    _delete(named)
    for directory in named:
        fileio.makedirs(directory)
    try:
        yield
    except BaseException:  # a run that is stopped too
        _delete(named)
        raise


def _delete(directories: list[str]) -> None:
    for directory in directories:
        if fileio.exists(directory):
            fileio.rmtree(directory)


def _describe(examples: types.Artifact, fingerprint: str) -> None:
    # What the driver of a file-based ExampleGen sets; downstream components read the format and the splits.
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_int_custom_property(utils.SPAN_PROPERTY_NAME, 0)
    examples.set_int_custom_property(utils.VERSION_PROPERTY_NAME, 0)
    examples.set_string_custom_property(utils.FINGERPRINT_PROPERTY_NAME, fingerprint)
