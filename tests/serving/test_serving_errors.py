import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis.extra.numpy import array_shapes, arrays
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client.client import RankingClient, RankingError
from serving.client.request import RankRequest
from serving.dev_server import tensors
from serving.dev_server.servable import LoadedVersion


def _proto(dtype, shape, content=b"", **values):
    """A TensorProto that nothing has made sense of."""
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_content=content, **values)
    for size in shape:
        proto.tensor_shape.dim.add().size = size
    return proto


INPUTS = {
    name: tf.make_tensor_proto(value, dtype=tf.string)
    for name, value in {
        "user": ["u"],
        "rec_items": [["i"]],
        "search_words": [[["w"]]],
        "search_items": [[[""]]],
        "candidates": [["a", "b"]],
    }.items()
}
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
        ({"model": "other"}, "NOT_FOUND", "Servable not found for request: Latest(other)"),
        ({"model": "other", "version": 3}, "NOT_FOUND", "Servable not found for request: Specific(other, 3)"),
        ({"model": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"version": 7}, "NOT_FOUND", "Servable not found for request: Specific(lcr_ser, 7)"),
        ({"label": "stable"}, "INVALID_ARGUMENT", "Unrecognized servable version label: stable"),
        ({"model": "other", "label": "stable"}, "INVALID_ARGUMENT", "Unrecognized servable version label: stable"),
        ({"signature": "nothing"}, "FAILED_PRECONDITION", 'Serving signature key "nothing" not found.'),
        ({"inputs": _without("candidates")}, "INVALID_ARGUMENT",
         "input size does not match signature: 4!=5 len({rec_items,search_items,search_words,user}) != "
         "len({candidates,rec_items,search_items,search_words,user}). Sent extra: {}. "
         "Missing but required: {candidates}."),
        ({"inputs": _with("colour", "red")}, "INVALID_ARGUMENT", "Sent extra: {colour}. Missing but required: {}."),
        ({"inputs": {**_without("candidates"), "colour": INPUTS["user"]}}, "INVALID_ARGUMENT",
         "Signature input alias: candidates(feed name: rank_candidates:0) not found in request and no default value "
         "provided. Inputs expected to be in the request {colour,rec_items,search_items,search_words,user}, or"),
        ({"inputs": _with("candidates", [[1, 2]])}, "INVALID_ARGUMENT",
         "input 'candidates': expected string [?, ?], got int32 [1, 2]"),
        ({"inputs": _with("rec_items", ["i"])}, "INVALID_ARGUMENT",
         "input 'rec_items': expected string [?, ?], got string [1]"),
        ({"inputs": {**INPUTS, "user": NOT_A_TYPE}}, "INVALID_ARGUMENT",
         "input 'user': expected string [?], got invalid []"),
        ({"inputs": {**INPUTS, "user": tensor_pb2.TensorProto(dtype=99)}}, "INVALID_ARGUMENT", "got type 99 []"),
        ({"outputs": ["colour"]}, "INVALID_ARGUMENT",
         "output tensor alias not found in signature: colour Outputs expected to be in the set {ranks,scores}."),
        ({"outputs": ["ranks", "ranks"]}, "INVALID_ARGUMENT", "duplicate output tensor alias: ranks"),
        ({"signature": "", "inputs": _examples(b"garbage")}, "INVALID_ARGUMENT", "Could not parse example input"),
        ({"signature": "lookup", "inputs": {"ids": OUT_OF_RANGE}}, "INVALID_ARGUMENT", "indices[0] = 9 is not in"),
        ({"signature": "few", "inputs": {"ids": tf.make_tensor_proto([0, 1, 2, 3], tf.int64)}}, "INVALID_ARGUMENT",
         "[`ids` should hold at most 3 ids. Received: 4.] [Ask again.]"),
        ({"signature": "lookup", "inputs": {"ids": tf.make_tensor_proto([0], tf.half)}}, "INVALID_ARGUMENT",
         "input 'ids': expected int64 [?], got half [1]"),
        ({"model": "m" * 10**6}, "NOT_FOUND", "Servable not found for request: Latest(mmm"),
        ({"inputs": dict.fromkeys((f"input-{number}" for number in range(9)), NOT_A_TYPE)}, "INVALID_ARGUMENT",
         "input size does not match signature: 9!=5"),
        ({"inputs": dict.fromkeys((f"input-{number}" for number in range(10**4)), NOT_A_TYPE)}, "INVALID_ARGUMENT",
         "input size does not match signature: 10000!=5"),
        ({"inputs": {**INPUTS, "user": _proto(tf.string, [1] * 10**5, string_val=[b"u"])}}, "INVALID_ARGUMENT",
         "input 'user': at most 10 dimensions are read, got 100000"),
        ({"inputs": {**INPUTS, "user": _proto(tf.string, [1] * 10, string_val=[b"u"])}}, "INVALID_ARGUMENT",
         "input 'user': expected string [?], got string [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"),
    ],
)  # fmt: skip
def test_clients_mistake_gets_tf_servings_code_and_names_the_thing(channel, arguments, code, says):
    with pytest.raises(grpc.RpcError) as caught:
        _predict(channel, **arguments)
    assert caught.value.code().name == code
    assert says in caught.value.details()
    assert len(caught.value.details()) <= 1_024 + len("...TRUNCATED")
    assert "scores" in _predict(channel).outputs  # nobody else is harmed


def _asking(field, shape, value=b"x"):
    """One value that stands for all the cells of a shape."""
    return {"inputs": {**INPUTS, field: _proto(tf.string, shape, string_val=[value])}}


def _ids(*arguments, **values):
    return {"signature": "lookup", "inputs": {"ids": _proto(*arguments, **values)}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (_asking("candidates", [1, 10_002]),
         "`candidates` should hold at most 10000 candidates a request. Received: 10002."),
        (_asking("candidates", [27, 10_000]),
         "`candidates` should hold at most 262144 cells, requests times the longest "
         "list of candidates. Received: [27, 10000]. Send fewer requests in a call."),
        (_asking("candidates", [2**31, 2**31]),
         "`candidates` should hold at most 1024 requests. Received: 2147483648."),
        (_asking("user", [1_025]), "`user` should hold at most 1024 requests. Received: 1025."),
        (_asking("rec_items", [1, 1_002]), "`rec_items` should hold at most 1000 clicks a request. Received: 1002."),
        (_asking("search_words", [1, 1_002, 1]),
         "`search_words` should hold at most 1000 searches a request. Received: 1002."),
        (_asking("search_words", [1, 1, 251]),
         "`search_words` should hold at most 250 words a search. Received: 251."),
        (_asking("search_items", [1, 1, 2**62]),
         "`search_items` should hold at most 250 items a search. Received: 4611"),
        (_asking("search_items", [8, 1_000, 200]),
         "`search_items` should hold at most 1048576 strings, padding included. "
         "Received: [8, 1000, 200]. Send fewer requests in a call."),
        *((_asking(field, shape, b"u" * 2**16), f"tensor parsing error: {field}: shape {shape} takes {cells} values")
          for field, shape, cells in (("rec_items", [2, 1_000], 2_000), ("search_words", [1_000, 2, 2], 4_000),
                                      ("search_items", [5, 5, 50], 1_250), ("candidates", [1, 9_999], 9_999))),
        (_ids(tf.int64, [2**40], int64_val=[1]),
         "`ids` should hold at most 1024 requests. Received: 1099511627776."),
        (_asking("user", [-1]), "tensor parsing error: user: shape [-1] is unknown or negative"),
        ({"inputs": {**INPUTS, "user": _proto(tf.string, [2], string_val=[b"u"] * 3)}},
         "tensor parsing error: user: shape [2] takes 2 values of `string_val`, got 3"),
        ({"inputs": {**INPUTS, "user": _proto(tf.string, [0], string_val=[b"u"])}},
         "tensor parsing error: user: shape [0] takes 0 values of `string_val`, got 1"),
        ({"inputs": {**INPUTS, "user": _proto(tf.string, [1], b"u")}},
         "tensor parsing error: user: strings are read from `string_val`, got `tensor_content`"),
        ({"signature": "", "inputs": {"examples": _proto(tf.string, [10**6], string_val=[b"x" * 88_000])}},
         "`examples` should hold at most 1024 requests. Received: 1000000."),
        (_ids(tf.int64, [1], b"123"), "tensor parsing error: ids: shape [1] takes 8 bytes of `tensor_content`, got 3"),
    ],
)  # fmt: skip
def test_what_a_message_asks_for_is_bounded_before_it_is_decoded(channel, monkeypatch, arguments, says):
    def decoded(proto, _shape):
        raise AssertionError(f"decoded {proto.tensor_shape}")

    with monkeypatch.context() as patched, pytest.raises(grpc.RpcError) as caught:
        patched.setattr(tensors, "_array", decoded)
        _predict(channel, **arguments)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in caught.value.details()


def test_largest_shapes_are_answered(channel):
    asked = {
        **INPUTS,
        "user": _proto(tf.string, [1_024], string_val=[b"u"] * 1_024),
        "candidates": _proto(tf.string, [1_024, 256], string_val=[b"c"] * 1_024 * 256),
    }
    for name in ("rec_items", "search_words", "search_items"):
        asked[name] = tf.make_tensor_proto(np.full((1_024, 1, 1)[: 2 + (name != "rec_items")], b"x", object))
    assert tf.make_ndarray(_predict(channel, inputs=asked).outputs["ranks"]).shape == (1_024, 256)
    asked = {**INPUTS, "candidates": _proto(tf.string, [1, 10_000], string_val=[b"c"] * 10_000)}
    assert tf.make_ndarray(_predict(channel, inputs=asked).outputs["ranks"]).shape == (1, 10_000)


@pytest.mark.parametrize(
    ("values", "expected"), [([0, 1], [1.0, 2.0, 2.0]), ([0], [1.0] * 3), ([], [1.0] * 3), ([1, 0, 1], [2.0, 1.0, 2.0])]
)
def test_a_small_tensor_is_filled_with_its_last_value_as_tf_serving_does(channel, values, expected):
    response = _predict(channel, **_ids(tf.int64, [3], int64_val=values))
    assert list(response.outputs["rows"].float_val) == expected


def test_values_come_back_in_the_field_of_their_type(channel):
    outputs = _predict(channel).outputs
    assert list(outputs["ranks"].int_val) in ([1, 2], [2, 1])
    assert len(outputs["scores"].float_val) == 2
    assert [size.size for size in outputs["scores"].tensor_shape.dim] == [1, 2]
    assert not outputs["scores"].tensor_content


@hypothesis.given(
    arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.bool_]), array_shapes(min_dims=0, min_side=0)
    )
)
def test_what_is_encoded_is_what_tensorflow_reads_and_what_is_read_again(array):
    proto = tensors.encode(array)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    if proto.ByteSize() and array.size <= tensors.MAX_FILLED:
        for sent in (proto, tf.make_tensor_proto(array)):
            np.testing.assert_array_equal(tensors._array(sent, array.shape), array)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x03\x0a\x01\xff"])
@pytest.mark.parametrize("method", ["PredictionService/Predict", "ModelService/GetModelStatus"])
def test_bytes_that_are_no_message_are_the_clients_mistake(channel, method, data):
    ask = channel.unary_unary(f"/tensorflow.serving.{method}")
    with pytest.raises(grpc.RpcError) as caught:
        ask(data, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{method}: {len(data)} bytes that are no message of its type" in caught.value.details()


@pytest.mark.parametrize(("size", "at_a_time", "patience"), [(2 * 2**20, 1, 0.5), (2**10, 2, 30)])
def test_large_messages_are_answered_one_after_another(still_server, monkeypatch, size, at_a_time, patience):
    answer, inside, most, two_inside = LoadedVersion.predict, [], [], threading.Event()

    def watched(*arguments):
        inside.append(1)
        most.append(len(inside))
        if len(inside) == 2:
            two_inside.set()
        two_inside.wait(patience)
        inside.pop()
        return answer(*arguments)

    monkeypatch.setattr(LoadedVersion, "predict", watched)
    with grpc.insecure_channel(still_server.address) as opened, ThreadPoolExecutor() as pool:
        asked = [pool.submit(_predict, opened, inputs=_with("user", [b"u" * size])) for _ in range(2)]
        assert all("scores" in call.result().outputs for call in asked)
    assert max(most) == at_a_time


def test_other_methods_are_unimplemented(channel):
    for method in (
        "PredictionService/Classify",
        "SessionService/SessionRun",
        "ModelService/HandleReloadConfigRequest",
        "Nothing/Here",
    ):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/tensorflow.serving.{method}")(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "use TF Serving" in caught.value.details()


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n\n", b"\n\n" * 50, "ü".encode() * 500, b"a\0b\rc"])
def test_garbage_in_a_refusal_does_not_hide_it(channel, garbage):
    with pytest.raises(grpc.RpcError) as caught:
        _predict(channel, "", _examples(garbage))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Could not parse example input" in caught.value.details()


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


def test_oversized_request_is_refused_by_grpc_itself(channel):
    with pytest.raises(grpc.RpcError) as caught:
        _predict(channel, inputs=_with("user", [b"x" * (9 * 2**20)]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "8388608" in caught.value.details()


def test_client_says_which_server_did_not_answer():
    with RankingClient("127.0.0.1:1", timeout=1.0) as client, pytest.raises(RankingError, match="127.0.0.1:1") as error:
        client.rank(RankRequest("u", ["a"]))
    assert error.value.code is grpc.StatusCode.UNAVAILABLE


def test_client_passes_the_servers_refusal_on(still_server):
    with (
        RankingClient(still_server.address, "other") as client,
        pytest.raises(RankingError, match="NOT_FOUND: Could not find any versions of model other"),
    ):
        client.status()
