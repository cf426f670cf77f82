"""A run of ExampleGen's executor on a directory, as a fixture."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest


class LogRun(NamedTuple):
    """Serialized Examples by split, sorted; the report; the examples artifact; the directory of the candidates."""

    records: dict
    report: dict
    artifact: object
    candidates: Path

    def parsed(self, split):
        """Examples of a split as dictionaries of lists."""
        import tensorflow as tf

        examples = map(tf.train.Example.FromString, self.records[split])
        return [
            {
                name: list(feature.bytes_list.value) or list(feature.int64_list.value)
                for name, feature in example.features.feature.items()
            }
            for example in examples
        ]


@pytest.fixture(scope="session")
def run_log(tmp_path_factory):
    """Run the executor: `run_log(log_dir, workers=1, out="run", **settings) -> LogRun`.

    On Beam's in-memory runner, unless `arguments` are those of another one; `make_pipeline` takes them, and may do more
    than `beam.Pipeline` does.
    """
    import apache_beam as beam
    import tensorflow as tf
    from tfx.types import standard_artifacts

    from components.common.artifacts import Candidates, LogReport
    from components.common.split_files import split_files
    from components.example_gen.executor import Executor
    from components.example_gen.settings import LogSettings

    def run(log_dir, workers=1, out="run", arguments=None, make_pipeline=beam.Pipeline, **values):
        mode = "in_memory" if workers == 1 else "multi_processing"
        arguments = arguments or [
            "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
            f"--direct_running_mode={mode}",
            f"--direct_num_workers={workers}",
        ]
        out = tmp_path_factory.mktemp(out)
        examples, log_report, candidates = standard_artifacts.Examples(), LogReport(), Candidates()
        for artifact, name in ((examples, "examples"), (log_report, "log_report"), (candidates, "candidates")):
            artifact.uri = str(out / name)
        context = Executor.Context(tmp_dir=str(out), make_beam_pipeline_fn=lambda: make_pipeline(argv=arguments))
        outputs = {"examples": [examples], "log_report": [log_report], "candidates": [candidates]}
        Executor(context).Do(
            {},
            outputs,
            {
                "settings": LogSettings(log_dir=str(log_dir), **values).to_json(),
                "input_fingerprint": "abc",
                "code_hash": "",
            },
        )
        records = {
            split: sorted(record.numpy() for record in tf.data.TFRecordDataset(split_files(examples, split), "GZIP"))
            for split in examples.splits
        }
        return LogRun(
            records, json.loads((out / "log_report" / "log_report.json").read_text()), examples, out / "candidates"
        )

    return run
