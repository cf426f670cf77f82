"""The stock InfraValidator as a setting: in the pipeline, and as a gate of the Pusher."""

from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.components.infra_validator.executor import Executor as InfraValidator
from tfx.proto import infra_validator_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.common.artifacts import GateVerdict
from components.common.verdict import Verdict, write_verdict
from components.pusher import executor as pusher
from synthetic_logs.demo import DemoLogSettings, write_demo_log
from tfx_pipeline.infra_validation import require_docker
from tfx_pipeline.pipeline import create_pipeline
from tfx_pipeline.settings import load


@pytest.fixture
def composed(tmp_path, monkeypatch):
    write_demo_log(tmp_path / "log", DemoLogSettings(num_users=20, num_topics=2, subtopics=2))
    monkeypatch.setenv("LCR_SER_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path))

    def compose(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"LCR_SER_INFRA_VALIDATION__{name.upper()}", value)
        return {component.id: component for component in create_pipeline(load()).components}

    return compose


def _spec(component, name, kind):
    return json_format.Parse(component.exec_properties[name], kind())


def test_as_shipped_there_is_none(composed):
    components = composed()
    assert "InfraValidator" not in components
    assert "infra_blessing" not in components["Pusher"].inputs


def test_with_docker_its_blessing_goes_to_the_pusher_and_to_the_page(composed):
    components = composed(platform="docker", tags='["1.2.3", "latest"]', requests="7")
    for reader in ("Pusher", "RunReport"):
        assert components[reader].inputs["infra_blessing"] is components["InfraValidator"].outputs["blessing"]
    serving = _spec(components["InfraValidator"], "serving_spec", infra_validator_pb2.ServingSpec)
    assert serving.WhichOneof("serving_platform") == "local_docker"
    assert list(serving.tensorflow_serving.tags) == ["1.2.3", "latest"]
    request = _spec(components["InfraValidator"], "request_spec", infra_validator_pb2.RequestSpec)
    assert (request.split_name, request.num_examples) == ("test", 7)
    assert list(request.tensorflow_serving.signature_names) == ["serving_default", "rank_eval"]


def test_a_docker_that_is_not_there_is_named_before_the_log_is_read(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # nothing listens there, on whatever machine
    message = "should find a Docker that answers. Received: .* Start it, or set `infra_validation` to null."
    with pytest.raises(ValueError, match=f"`infra_validation.platform` docker {message}"):
        require_docker()


@pytest.mark.parametrize("name", ["LOGS__CANDIDATES_FILE", "DATA_CHECK__SERVING_REQUESTS"])
def test_files_beside_the_log_are_looked_for_before_it_is_read(monkeypatch, tmp_path, name):
    monkeypatch.setenv("LCR_SER_LOG_DIR", str(tmp_path / "no log"))
    monkeypatch.setenv(f"LCR_SER_{name}", str(tmp_path / "none-*"))
    with pytest.raises(ValueError, match=f"`{name.replace('__', '.').lower()}` should match files. Received: .*none-"):
        create_pipeline(load())


def test_a_model_that_it_does_not_bless_is_not_pushed(tmp_path, monkeypatch):
    monkeypatch.setattr(pusher, "model_metrics", lambda uri: {"candidate": {}})

    def artifact(kind, name):
        made = kind()
        made.uri = str(tmp_path / name)
        return made

    model, infra = artifact(standard_artifacts.Model, "model"), artifact(standard_artifacts.InfraBlessing, "infra")
    Path(model.uri, "Format-Serving").mkdir(parents=True)
    Path(model.uri, "Format-Serving", "saved_model.pb").write_text("of no use")
    # Nothing listens there, on whatever machine.
    serving = infra_validator_pb2.ServingSpec(
        tensorflow_serving=infra_validator_pb2.TensorFlowServing(tags=["latest"]),
        model_name="m",
        local_docker=infra_validator_pb2.LocalDockerConfig(client_base_url="tcp://127.0.0.1:1"),
    )
    once = infra_validator_pb2.ValidationSpec(num_tries=1, max_loading_time_seconds=5)
    InfraValidator(InfraValidator.Context(tmp_dir=str(tmp_path), unique_id="1")).Do(
        {"model": [model]},
        {"blessing": [infra]},
        {
            "serving_spec": proto_utils.proto_to_json(serving),
            "validation_spec": proto_utils.proto_to_json(once),
            "request_spec": None,
        },
    )
    blessing, verdict = artifact(standard_artifacts.ModelBlessing, "b"), artifact(GateVerdict, "verdict")
    blessing.set_int_custom_property("blessed", 1)
    write_verdict(verdict, Verdict("DataCheck"))
    inputs = {
        "model": [model],
        "model_blessing": [blessing],
        "verdict": [verdict],
        "infra_blessing": [infra],
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, "e")],
        "examples": [artifact(standard_artifacts.Examples, "x")],
    }
    pushed = artifact(standard_artifacts.PushedModel, "pushed")
    where = {"serving_dir": str(tmp_path / "serving"), "keep_versions": 1, "model_code": ""}
    pusher.Executor().Do(inputs, {"pushed_model": [pushed]}, where)
    assert pushed.get_string_custom_property("reason").startswith("InfraValidator: TF Serving did not load the model")
    infra.set_int_custom_property("blessed", 1)
    pusher.Executor().Do(inputs, {"pushed_model": [pushed]}, where)
    assert pushed.get_int_custom_property("pushed") == 1
