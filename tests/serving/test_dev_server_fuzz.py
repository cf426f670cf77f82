"""T8: requests that hypothesis builds; the server answers each, never with INTERNAL or UNKNOWN, and stays small."""

import grpc
import hypothesis.strategies as st
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

GROWTH_MB = 500
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
INPUTS = {
    "rank": {"user": 1, "rec_items": 2, "search_words": 3, "search_items": 3, "candidates": 2},
    "serving_default": {"examples": 1},
    "lookup": {"ids": 1},
    "few": {"ids": 1},
}
STRINGS = st.one_of(st.binary(max_size=20), st.text(max_size=20).map(lambda text: text.encode()))
SIZES = st.one_of(st.integers(0, 4), st.sampled_from([-1, 1_000, 1_025, 10_001, 2**31, 2**62]))


@st.composite
def tensors(draw, rank, right):
    """A tensor of a signature: as it should be, unless `right` is false, where each part may be anything."""
    wrong = st.just(False) if right else st.booleans()
    size = draw(st.integers(1, 3))
    shape = [size] * rank if not draw(wrong) else draw(st.lists(SIZES, max_size=5))
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING)
    for dimension in shape:
        proto.tensor_shape.dim.add().size = dimension
    if draw(wrong):
        proto.dtype = draw(st.sampled_from(types_pb2.DataType.values()))
    if draw(wrong):
        proto.tensor_shape.unknown_rank = True
    count = size**rank if not draw(wrong) else draw(st.integers(0, 5))
    if proto.dtype != types_pb2.DT_STRING or draw(wrong):
        proto.int64_val.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5)))
        proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=5)))
        proto.tensor_content = draw(st.one_of(st.just(b""), st.binary(max_size=40)))
    proto.string_val.extend(draw(st.lists(STRINGS, min_size=count, max_size=count)))
    return proto


@st.composite
def ids(draw):
    values = draw(st.lists(st.one_of(st.integers(0, 1), st.integers(-(2**63), 2**63 - 1)), max_size=5))
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT64, int64_val=values)
    proto.tensor_shape.dim.add().size = draw(st.one_of(st.just(len(values)), SIZES))
    return proto


@st.composite
def requests(draw):
    signature = draw(st.sampled_from(sorted(INPUTS)))
    request = predict_pb2.PredictRequest(model_spec={"name": "lcr_ser", "signature_name": signature})
    right = draw(st.booleans())
    for name, rank in INPUTS[signature].items():
        request.inputs[name].CopyFrom(draw(ids() if name == "ids" else tensors(rank, right)))
    if not right:
        for name in draw(st.lists(st.sampled_from([*INPUTS[signature], "colour", "", "é" * 1_000]), max_size=2)):
            if draw(st.booleans()):
                request.inputs[name].SetInParent()
            else:
                request.inputs.pop(name, None)
        request.output_filter.extend(draw(st.lists(st.sampled_from(["scores", "ranks", "rows", "", "é"]), max_size=3)))
        spec = request.model_spec
        spec.signature_name = draw(st.sampled_from([signature, signature, "", "__saved_model_init_op", "gone"]))
        spec.name = draw(st.sampled_from(["lcr_ser", "lcr_ser", "lcr_ser", "", "x" * 10_000]))
        match draw(st.integers(0, 5)):
            case 0:
                spec.version.value = draw(st.integers(-(2**63), 2**63 - 1))
            case 1:
                spec.version_label = draw(st.text(max_size=5))
    return request


def _ask(stub, request):
    try:
        return stub.Predict(request, timeout=60)
    except grpc.RpcError as error:
        assert error.code() not in FAULTS, error
        return None


def _fuzz(server, examples):
    seen, process = set(), psutil.Process()

    with grpc.insecure_channel(server.address) as channel:
        stub = PredictionServiceStub(channel)

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
        @given(requests())
        def run(request):
            answer = _ask(stub, request)
            seen.add((request.model_spec.signature_name, answer is not None))

        start = process.memory_info().rss
        run()
        assert (process.memory_info().rss - start) / 1e6 < GROWTH_MB
    assert {(signature, answered) for signature in INPUTS for answered in (True, False)} <= seen
    return seen


@pytest.mark.long
def test_hundreds_of_requests_are_answered(still_server):
    _fuzz(still_server, 300)


@pytest.mark.long
def test_thousands_of_requests_are_answered(still_server):
    _fuzz(still_server, 5_000)
