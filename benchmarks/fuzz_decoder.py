"""Atheris on the request decoder: `python -m benchmarks.fuzz_decoder -runs=50000`.

Bytes that libFuzzer makes are read as a PredictRequest and decoded against signatures of a servable. A RequestError or
a message that cannot be read is an answer; any other exception, and more than 2 GB of memory, ends the run with a
report. Arguments are libFuzzer's; `atheris` has no wheel for the Pythons of line B, and is no part of the lock.
"""

import sys

import atheris

with atheris.instrument_imports(include=["serving"]):
    from serving.dev_server.errors import RequestError
    from serving.dev_server.tensors import decode_inputs

from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

_RANK = {"user": 1, "rec_items": 2, "search_words": 3, "search_items": 3, "candidates": 2}


def _info(dtype: int, rank: int) -> meta_graph_pb2.TensorInfo:
    info = meta_graph_pb2.TensorInfo(dtype=dtype)
    for _ in range(rank):
        info.tensor_shape.dim.add().size = -1
    return info


_SIGNATURES = (
    {name: _info(types_pb2.DT_STRING, rank) for name, rank in _RANK.items()},
    {"a": _info(types_pb2.DT_INT64, 1), "b": _info(types_pb2.DT_FLOAT, 2)},
    {"a": _info(types_pb2.DT_BOOL, 1), "b": _info(types_pb2.DT_INT32, 0)},
)


def _seed(infos: dict[str, meta_graph_pb2.TensorInfo]) -> bytes:
    request = predict_pb2.PredictRequest()
    for name, info in infos.items():
        proto = request.inputs[name]
        proto.dtype = info.dtype
        for _ in info.tensor_shape.dim:
            proto.tensor_shape.dim.add().size = 1
        proto.string_val.append(b"x")
        proto.int64_val.append(1)
    return request.SerializeToString()


def _decode(data: bytes) -> None:
    try:
        request = predict_pb2.PredictRequest.FromString(data[1:])
    except DecodeError:
        return
    infos = _SIGNATURES[data[0] % len(_SIGNATURES)] if data else _SIGNATURES[0]
    # Names are drawn too seldom: the inputs there are stand for those of the signature, as far as they go.
    protos = dict(zip(infos, request.inputs.values(), strict=False))
    try:
        arrays = decode_inputs(infos, protos)
    except RequestError:
        return
    if sum(array.nbytes for array in arrays.values()) > 100 * (len(data) + 1_024 * len(arrays)):
        raise AssertionError(f"{len(data)} bytes became {[array.shape for array in arrays.values()]}")


def main() -> None:
    """Starts from one right request of each signature."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as corpus:
        for number, infos in enumerate(_SIGNATURES):
            (Path(corpus) / str(number)).write_bytes(bytes([number]) + _seed(infos))
        atheris.Setup([*sys.argv, "-rss_limit_mb=2048", corpus], _decode)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
