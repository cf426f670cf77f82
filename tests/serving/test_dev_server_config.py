"""TF Serving's configuration file: several models, chosen versions, labels."""

import shutil
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from serving.dev_server.config import ModelConfig, read_config
from serving.dev_server.server import DevServer
from serving.versions import Policy


def _file(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)
    return path


def test_models_policies_and_labels_are_read(tmp_path):
    path = _file(
        tmp_path,
        """
        # As TF Serving's documentation writes it.
        model_config_list {
          config { name: "one" base_path: "/models/one" model_platform: "tensorflow" }
          config {
            name: "two" base_path: "/models/two" model_platform: 'tensorflow'
            model_version_policy { specific { versions: 42 versions: 43 } }
            version_labels { key: "stable" value: 42 }
            version_labels { key: "canary" value: 43 }
          }
          config: { name: "three", base_path: "/3", model_platform: "tensorflow", model_version_policy: { all: {} } }
          config { name: "four" base_path: "/4" model_platform: "tensorflow"
                   model_version_policy { latest { num_versions: 2 } } }
        }
        """,
    )
    assert read_config(path) == [
        ModelConfig("one", Path("/models/one")),
        ModelConfig("two", Path("/models/two"), Policy(specific=(42, 43)), {"stable": 42, "canary": 43}),
        ModelConfig("three", Path("/3"), Policy(latest=None)),
        ModelConfig("four", Path("/4"), Policy(latest=2)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_config_list {", "is no ModelServerConfig"),
        ("colour: 1", "is no ModelServerConfig"),
        ("", "should list at least one model"),
        ('model_config_list { config { name: "a" base_path: "/a" } }', "`model_platform`. Received: 'a', ''"),
        ('model_config_list { config { base_path: "/a" model_platform: "tensorflow" } }', "a `name`"),
        ('model_config_list { config { name: "a" base_path: "a" model_platform: "tensorflow" } }', "absolute path"),
        ('model_config_list { config { name: "a" base_path: "gs://a" model_platform: "tensorflow" } }', "'gs://a'"),
        (
            "model_config_list {" + 'config { name: "a" base_path: "/a" model_platform: "tensorflow" }' * 2 + "}",
            "each model once. Received more often: ['a']",
        ),
        (
            'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" '
            "model_version_policy { specific {} } } }",
            "at least one of `versions`",
        ),
        (
            'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" logging_config {} } }',
            "use TF Serving",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path, text, says):
    with pytest.raises(ValueError, match="models.config|`specific`") as caught:
        read_config(_file(tmp_path, text))
    assert says in str(caught.value)


def _version_that_answers(stub, name, **choice):
    request = predict_pb2.PredictRequest(model_spec={"name": name, "signature_name": "lookup", **choice})
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
    return stub.Predict(request, timeout=60).model_spec.version.value


def test_two_models_are_served_each_with_its_versions(tmp_path, exported, until):
    for name, versions in (("a", (1, 2, 3)), ("b", (1, 2))):
        for version in versions:
            shutil.copytree(exported(version), tmp_path / name / str(version))
    configs = [
        ModelConfig("a", tmp_path / "a", Policy(specific=(1, 3)), {"stable": 1, "gone": 2}),
        ModelConfig("b", tmp_path / "b"),
    ]
    with DevServer(configs, poll_seconds=0.1) as server, grpc.insecure_channel(server.address) as channel:
        stub = PredictionServiceStub(channel)
        until(lambda: len(server.managers["a"].states()) == 2 and server.ready)
        until(lambda: server.managers["a"].states()[1].state == "AVAILABLE")
        assert _version_that_answers(stub, "a") == 3
        assert _version_that_answers(stub, "a", version={"value": 1}) == 1
        assert _version_that_answers(stub, "a", version_label="stable") == 1
        assert _version_that_answers(stub, "b") == 2
        with pytest.raises(grpc.RpcError) as caught:
            _version_that_answers(stub, "a", version_label="gone")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == "Servable not found for request: Specific(a, 2)"
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(
            get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "a"})
        )
        assert [one.version for one in status.model_version_status] == [3, 1]
