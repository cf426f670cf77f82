"""The entry point of a step: executors run on what open-source Kubeflow's back end hands to a container."""

import json

import pytest

from components.curated_schema.component import SCHEMA_FILE
from tfx_pipeline.kubeflow import entrypoint

SCHEMA = "title: tfx.Schema\ntype: object\n"
MODEL = "title: tfx.Model\ntype: object\n"
LOGS = {
    "artifacts": [
        {
            "name": "executor-logs",
            "type": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
            "uri": "minio://store/run/step/executor-logs",
        }
    ]
}
"""What a default installation adds since 2.5."""


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """The launcher's folders, elsewhere."""
    found = {scheme: f"{tmp_path}{mount}" for scheme, mount in entrypoint.MOUNTS.items()}
    monkeypatch.setattr(entrypoint, "MOUNTS", found)
    return tmp_path


def _run(tmp_path, executor, *, outputs, inputs=None, declared=None, parameters=None):
    """Run a step, and read the file in which it answers."""
    output_file = tmp_path / "kfp" / "outputs" / "output_metadata.json"
    strings = {name: {"parameterType": "STRING"} for name in parameters or {}}
    entrypoint.main(
        [
            "--executor_class_path",
            executor,
            "--json_serialized_invocation_args",
            json.dumps(
                {
                    "inputs": {"artifacts": inputs or {}, "parameterValues": parameters or {}},
                    "outputs": {"artifacts": outputs, "outputFile": str(output_file)},
                }
            ),
            "--json_serialized_inputs_spec_args",
            json.dumps({"artifacts": declared or {}, "parameters": strings}),
            "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        ]
    )
    return json.loads(output_file.read_text())["artifacts"]


def _artifact(name, uri, schema=None, **metadata):
    # An input's schema is empty: the back end does not hand it on.
    return {"artifacts": [{"name": name, "uri": uri, "type": {"instanceSchema": schema or ""}, "metadata": metadata}]}


def test_a_step_writes_below_the_mount_and_answers_with_the_uri_it_was_given(mounts):
    answer = _run(
        mounts,
        "components.curated_schema.component.Executor",
        outputs={"schema": _artifact("schemas/1", "minio://store/run/schema", SCHEMA), "executor-logs": LOGS},
        parameters={"text": SCHEMA_FILE.read_text(), "code_hash": "0"},
    )
    assert (mounts / "minio/store/run/schema/schema.pbtxt").read_text() == SCHEMA_FILE.read_text()
    [schema] = answer["schema"]["artifacts"]
    assert (schema["name"], schema["uri"]) == ("schemas/1", "minio://store/run/schema")
    assert answer.keys() == {"schema"}


def test_a_finder_that_finds_nothing_says_so_and_the_next_step_goes_without(mounts):
    (mounts / "minio/store/model").mkdir(parents=True)
    answer = _run(
        mounts,
        "components.baseline_finder.executor.Executor",
        inputs={"candidate": _artifact("models/1", "minio://store/model")},
        declared={"candidate": {"artifactType": {"instanceSchema": MODEL}}},
        outputs={"baseline": _artifact("models/2", "minio://store/run/baseline", MODEL)},
        parameters={"serving_dir": str(mounts / "serving"), "code_hash": "0"},
    )
    [baseline] = answer["baseline"]["artifacts"]
    assert baseline["metadata"] == {"absent": 1} and baseline["uri"] == "minio://store/run/baseline"
    # Not empty: an object store has no empty folders, and the launcher looks for what it copies.
    assert (mounts / "minio/store/run/baseline/ABSENT.txt").exists()
    declared = {name: {"artifactType": {"instanceSchema": MODEL}} for name in ("model", "baseline_model")}
    inputs = {"model": _artifact("models/1", "minio://store/model"), "baseline_model": answer["baseline"]}
    assert entrypoint.complete_inputs(inputs, declared).keys() == {"model"}


def test_what_a_finder_finds_has_its_properties(mounts):
    version = mounts / "serving" / "17"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"model")
    answer = _run(
        mounts,
        "components.baseline_finder.executor.Executor",
        outputs={"baseline": _artifact("models/2", "s3://store/run/baseline", MODEL)},
        parameters={"serving_dir": str(mounts / "serving"), "code_hash": "0"},
    )
    assert answer["baseline"]["artifacts"][0]["metadata"]["pushed_version"] == "17"
    assert (mounts / "s3/store/run/baseline/Format-Serving/saved_model.pb").read_bytes() == b"model"


def test_what_a_try_before_this_one_left_is_cleared(mounts):
    left = mounts / "gcs/store/run/schema/half-written"
    left.mkdir(parents=True)
    _run(
        mounts,
        "components.curated_schema.component.Executor",
        outputs={"schema": _artifact("schemas/1", "gs://store/run/schema", SCHEMA)},
        parameters={"text": SCHEMA_FILE.read_text(), "code_hash": "0"},
    )
    assert [path.name for path in left.parent.iterdir()] == ["schema.pbtxt"]


def test_an_input_that_was_deleted_is_named(mounts):
    declared = {"model": {"artifactType": {"instanceSchema": MODEL}}}
    with pytest.raises(FileNotFoundError, match=r"`model` is gone: there is nothing at minio://store/deleted\."):
        entrypoint.complete_inputs({"model": _artifact("models/1", "minio://store/deleted")}, declared)


def test_types_of_our_own_are_found_by_their_names(mounts):
    (mounts / "minio/store/verdict").mkdir(parents=True)
    declared = {"verdict": {"artifactType": {"instanceSchema": "title: components.GateVerdict\ntype: object\n"}}}
    found = entrypoint.complete_inputs({"verdict": _artifact("verdicts/1", "minio://store/verdict")}, declared)
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as stock

    message = json_format.ParseDict({"inputs": {"artifacts": found}}, pipeline_spec_pb2.ExecutorInput())
    [artifact] = stock.parse_raw_artifact_dict(message.inputs.artifacts)["verdict"]
    from components.common.artifacts import GateVerdict

    assert type(artifact) is GateVerdict and artifact.uri == f"{mounts}/minio/store/verdict"


def test_an_error_is_the_last_line(mounts):
    for name in ("none", "pushed"):
        (mounts / "minio/store" / name).mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"^Error: .*No such file") as raised:
        _run(
            mounts,
            "components.statistics_keeper.component.Executor",
            inputs={
                "statistics": _artifact("statistics/1", "minio://store/none", split_names='["test"]'),
                "pushed_model": _artifact("pushed/1", "minio://store/pushed", pushed_version="3"),
            },
            declared={
                "statistics": {"artifactType": {"instanceSchema": "title: tfx.ExampleStatistics\ntype: object\n"}},
                "pushed_model": {"artifactType": {"instanceSchema": "title: tfx.PushedModel\ntype: object\n"}},
            },
            outputs={"kept": _artifact("kept/1", "minio://store/kept", "title: components.KeptStatistics\n")},
            parameters={"statistics_dir": str(mounts / "statistics"), "code_hash": "0"},
        )
    assert "\n" not in str(raised.value)
