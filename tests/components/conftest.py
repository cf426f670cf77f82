"""What tests of ExampleGen share: a run of its executor on a directory."""

import json
from typing import NamedTuple

import pytest


class LogRun(NamedTuple):
    """Serialized Examples by split, sorted; the report; the examples artifact."""

    records: dict
    report: dict
    artifact: object

    def parsed(self, split):
        """Examples of a split as dictionaries of lists."""
        import tensorflow as tf

        examples = map(tf.train.Example.FromString, self.records[split])
        return [{name: list(feature.bytes_list.value) or list(feature.int64_list.value)
                 for name, feature in example.features.feature.items()} for example in examples]


@pytest.fixture(scope="session")
def run_log(tmp_path_factory):
    """Run the executor on Beam's in-memory runner: `run_log(log_dir, **settings) -> LogRun`."""
    import apache_beam as beam
    import tensorflow as tf
    from tfx.types import standard_artifacts

    from components.example_gen.artifacts import LogReport
    from components.example_gen.executor import Executor
    from components.example_gen.settings import LogSettings

    arguments = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]

    def run(log_dir, **values):
        out = tmp_path_factory.mktemp("run")
        examples, log_report = standard_artifacts.Examples(), LogReport()
        examples.uri, log_report.uri = str(out / "examples"), str(out / "log_report")
        context = Executor.Context(tmp_dir=str(out), make_beam_pipeline_fn=lambda: beam.Pipeline(argv=arguments))
        Executor(context).Do({}, {"examples": [examples], "log_report": [log_report]}, {
            "settings": LogSettings(log_dir=str(log_dir), **values).to_json(), "input_fingerprint": "abc",
            "code_hash": ""})
        records = {
            split: sorted(record.numpy() for record in tf.data.TFRecordDataset(
                tf.io.gfile.glob(f"{examples.path(split=split)}/data_tfrecord-*.gz"), "GZIP"))
            for split in examples.splits}
        return LogRun(records, json.loads((out / "log_report" / "log_report.json").read_text()), examples)

    return run
