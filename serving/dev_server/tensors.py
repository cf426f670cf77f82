"""TensorProto to NumPy, checked before it takes memory, and back, in the fields that TF Serving fills.

A TensorProto can name any shape and fill it from one value, so what a message asks for says nothing of its own size:
names, types, shapes and the number of values are compared with the signature and the limits first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.dev_server.errors import RequestError, invalid
from serving.limits import excess

MAX_FILLED = 1_024
"""Cells of a tensor that holds fewer values: TF Serving repeats the last one, whatever the shape."""
_MOST_DIMENSIONS = 10
"""More are not looked at one by one; no signature has as many."""
_FIELDS = {
    types_pb2.DT_STRING: ("string_val", np.dtype(object)),
    types_pb2.DT_FLOAT: ("float_val", np.dtype(np.float32)),
    types_pb2.DT_DOUBLE: ("double_val", np.dtype(np.float64)),
    types_pb2.DT_INT32: ("int_val", np.dtype(np.int32)),
    types_pb2.DT_INT64: ("int64_val", np.dtype(np.int64)),
    types_pb2.DT_BOOL: ("bool_val", np.dtype(np.bool_)),
}
"""Type -> the field of a TensorProto that holds its values, and NumPy's type."""
_NUMBERS = {dtype: number for number, (_, dtype) in _FIELDS.items()}


def decode_inputs(infos: Mapping[str, Any], protos: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Check names, types, shapes and sizes of a request against a signature's inputs, and convert them.

    Args:
        infos: input name -> `TensorInfo`.
        protos: input name -> `TensorProto`.

    Returns:
        input name -> array; strings are objects, bytes.

    Raises:
        RequestError: INVALID_ARGUMENT, naming the input, the value and what is expected; UNIMPLEMENTED for a type that
            no servable of ours has.
    """
    _check_names(infos, protos)
    shapes = {name: _shape(name, infos[name], protos[name]) for name in infos}
    if message := excess(shapes):
        raise invalid(message)
    for name, shape in shapes.items():
        _check_values(name, protos[name], shape)
    return {name: _array(protos[name], shape) for name, shape in shapes.items()}


def encode(array: npt.NDArray[Any]) -> Any:
    """The TensorProto of an array: its values one by one in the field of their type, which is TF Serving's default."""
    number = _NUMBERS[array.dtype]
    proto = tensor_pb2.TensorProto(dtype=number)
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    getattr(proto, _FIELDS[number][0]).extend(array.ravel().tolist())
    return proto


def joined(names: Iterable[str]) -> str:
    """Names as TF Serving lists them."""
    return "{" + ",".join(sorted(names)) + "}"


def _check_names(infos: Mapping[str, Any], protos: Mapping[str, Any]) -> None:
    missing, extra = infos.keys() - protos.keys(), protos.keys() - infos.keys()
    if len(protos) != len(infos):
        raise invalid(
            f"input size does not match signature: {len(protos)}!={len(infos)} len({joined(protos)}) != "
            f"len({joined(infos)}). Sent extra: {joined(extra)}. Missing but required: {joined(missing)}."
        )
    if missing:
        first = min(missing)
        raise invalid(
            f"Signature input alias: {first}(feed name: {infos[first].name}) not found in request and no default value "
            f"provided. Inputs expected to be in the request {joined(protos)}, or default input alias set: "
        )


def _shape(name: str, info: Any, proto: Any) -> tuple[int, ...]:
    dimensions = proto.tensor_shape.dim
    if len(dimensions) > _MOST_DIMENSIONS:
        raise invalid(f"input {name!r}: at most {_MOST_DIMENSIONS} dimensions are read, got {len(dimensions)}")
    shape = tuple(dimension.size for dimension in dimensions)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"tensor parsing error: {name}: shape {list(shape)} is unknown or negative")
    if info.dtype not in _FIELDS:
        message = f"input {name!r}: {_type(info.dtype)} is not read by the development server; use TF Serving"
        raise RequestError(grpc.StatusCode.UNIMPLEMENTED, message)
    wanted = [dimension.size for dimension in info.tensor_shape.dim]
    if proto.dtype != info.dtype or not (info.tensor_shape.unknown_rank or _fits(shape, wanted)):
        expected = f"{_type(info.dtype)} {['?' if size < 0 else size for size in wanted]}".replace("'", "")
        raise invalid(f"input {name!r}: expected {expected}, got {_type(proto.dtype)} {list(shape)}")
    return shape


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))


def _check_values(name: str, proto: Any, shape: tuple[int, ...]) -> None:
    """A value for each cell, so that no tensor is larger than the message; fewer only where the tensor is small."""
    cells = math.prod(shape)
    field, dtype = _FIELDS[proto.dtype]
    received, unit = len(getattr(proto, field)), f"values of `{field}`"
    if proto.tensor_content:
        if dtype.hasobject:
            raise invalid(f"tensor parsing error: {name}: strings are read from `string_val`, got `tensor_content`")
        cells, received, unit = cells * dtype.itemsize, len(proto.tensor_content), "bytes of `tensor_content`"
    elif received < cells <= MAX_FILLED:
        return
    if received != cells:
        raise invalid(f"tensor parsing error: {name}: shape {list(shape)} takes {cells} {unit}, got {received}")


def _array(proto: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    field, dtype = _FIELDS[proto.dtype]
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = list(getattr(proto, field))
    if short := math.prod(shape) - len(values):
        values += (values[-1:] or [b"" if dtype.hasobject else 0]) * short
    return np.array(values, dtype).reshape(shape)


def _type(number: int) -> str:
    known = number in types_pb2.DataType.values()
    return types_pb2.DataType.Name(number).removeprefix("DT_").lower() if known else f"type {number}"
