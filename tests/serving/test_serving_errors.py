import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import RankingClient, RankingError
from serving.errors import trimmed
from serving.request import RankRequest, request_inputs

INPUTS = {
    name: tf.make_tensor_proto(value, dtype=tf.string)
    for name, value in request_inputs([RankRequest("u", ["a", "b"])]).items()
}
HUGE = text_format.Parse(
    "dtype: DT_INT64 tensor_shape { dim { size: 100000000 } } int64_val: 1", tensor_pb2.TensorProto()
)
SHORT = tensor_pb2.TensorProto(dtype=tf.int64.as_datatype_enum, tensor_content=b"123")
SHORT.tensor_shape.dim.add().size = 1
NEGATIVE = tensor_pb2.TensorProto(dtype=tf.int64.as_datatype_enum, int64_val=[1])
NEGATIVE.tensor_shape.dim.add().size = -1
OUT_OF_RANGE = tf.make_tensor_proto([9], tf.int64)
NOT_A_TYPE = tensor_pb2.TensorProto(dtype=0)


@pytest.fixture
def channel(still_server):
    with grpc.insecure_channel(still_server.address) as opened:
        yield opened


def _predict(channel, signature="rank", inputs=INPUTS, model="lcr_ser", **spec):
    request = predict_pb2.PredictRequest(output_filter=spec.pop("outputs", ()))
    request.model_spec.name, request.model_spec.signature_name = model, signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    for name, proto in inputs.items():
        request.inputs[name].CopyFrom(proto)
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)


def _without(name):
    return {key: value for key, value in INPUTS.items() if key != name}


def _with(name, value, dtype=None):
    return {**INPUTS, name: tf.make_tensor_proto(value, dtype=dtype)}


def _examples(*values):
    return {"examples": tf.make_tensor_proto(list(values), dtype=tf.string)}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ({"model": "other"}, "NOT_FOUND", "model 'other' not found; this server has 'lcr_ser'"),
        ({"model": ""}, "INVALID_ARGUMENT", "model_spec.name is empty"),
        ({"version": 7}, "NOT_FOUND", "version 7 is not loaded; 1 is"),
        ({"label": "stable"}, "INVALID_ARGUMENT", "version label 'stable'"),
        ({"signature": "nothing"}, "FAILED_PRECONDITION", "signature 'nothing' not found in version 1"),
        ({"inputs": _without("candidates")}, "INVALID_ARGUMENT", "missing inputs ['candidates']"),
        ({"inputs": _with("colour", "red")}, "INVALID_ARGUMENT", "unknown inputs ['colour']"),
        ({"inputs": _with("candidates", [[1, 2]])}, "INVALID_ARGUMENT",
         "input 'candidates': expected string [None, None], got int32 [1, 2]"),
        ({"inputs": _with("rec_items", ["i"])}, "INVALID_ARGUMENT",
         "input 'rec_items': expected string [None, None], got string [1]"),
        ({"inputs": {**INPUTS, "user": NOT_A_TYPE}}, "INVALID_ARGUMENT",
         "input 'user': expected string [None], got type 0"),
        ({"outputs": ["colour"]}, "INVALID_ARGUMENT",
         "unknown outputs ['colour']; the signature gives ['ranks', 'scores']"),
        ({"signature": "", "inputs": _examples(b"garbage")}, "INVALID_ARGUMENT", "['examples']"),
        ({"signature": "lookup", "inputs": {"ids": HUGE}}, "INVALID_ARGUMENT", "input 'ids': shape [100000000]"),
        ({"signature": "lookup", "inputs": {"ids": SHORT}}, "INVALID_ARGUMENT", "input 'ids': cannot be decoded"),
        ({"signature": "lookup", "inputs": {"ids": NEGATIVE}}, "INVALID_ARGUMENT", "input 'ids': shape [-1]"),
        ({"signature": "lookup", "inputs": {"ids": OUT_OF_RANGE}}, "INVALID_ARGUMENT", "['ids']: indices[0] = 9"),
    ],
)  # fmt: skip
def test_clients_mistake_gets_tf_servings_code_and_names_the_thing(channel, arguments, code, says):
    with pytest.raises(grpc.RpcError) as caught:
        _predict(channel, **arguments)
    assert caught.value.code().name == code
    assert says in caught.value.details()
    assert "{{node" not in caught.value.details()
    assert len(caught.value.details()) < 500
    assert "scores" in _predict(channel).outputs  # nobody else is harmed


def test_explicit_version_default_signature_and_output_filter(channel):
    example = tf.train.Example()
    example.features.feature["candidates"].bytes_list.value.append(b"a")
    response = _predict(channel, "", _examples(example.SerializeToString()), version=1)
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (1, "serving_default")
    assert set(_predict(channel, outputs=["ranks"]).outputs) == {"ranks"}


def test_metadata_describes_the_signatures(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "lcr_ser"
    response = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["rank"].outputs) == {"scores", "ranks"}
    del request.metadata_field[:]
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModelMetadata(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("name", "version"), [("other", None), ("lcr_ser", 99)])
def test_status_of_the_unknown_is_not_found(channel, name, version):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version:
        request.model_spec.version.value = version
    with pytest.raises(grpc.RpcError) as caught:
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_oversized_request_is_refused(channel):
    with pytest.raises(grpc.RpcError) as caught:
        _predict(channel, inputs=_with("user", [b"x" * (65 * 2**20)]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_client_says_which_server_did_not_answer():
    with RankingClient("127.0.0.1:1", timeout=1.0) as client, pytest.raises(RankingError, match="127.0.0.1:1") as error:
        client.rank(RankRequest("u", ["a"]))
    assert error.value.code is grpc.StatusCode.UNAVAILABLE


def test_client_passes_the_servers_refusal_on(still_server):
    with RankingClient(still_server.address, "other") as client, pytest.raises(RankingError, match="NOT_FOUND: model"):
        client.status()


def test_stack_of_a_graph_is_cut():
    error = ValueError(
        "Graph execution error:\n\nDetected at node x defined at (most recent call last):\n  File y\n\n"
        "indices[0] = 9 is not in [0, 2)\n\t [[{{node GatherV2}}]] [Op:__inference_signature_wrapper_1]"
    )
    assert trimmed(error) == "indices[0] = 9 is not in [0, 2)"
    assert trimmed(ValueError("")) == "ValueError"
