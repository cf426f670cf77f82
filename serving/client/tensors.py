"""TensorProto to NumPy and back."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.client.wire import ENUMS, TensorProto
from serving.limits import MAX_REPLY_BYTES

_FIELDS = {
    "DT_FLOAT": ("float_val", np.float32), "DT_DOUBLE": ("double_val", np.float64), "DT_INT32": ("int_val", np.int32),
    "DT_UINT8": ("int_val", np.uint8), "DT_INT16": ("int_val", np.int16), "DT_INT8": ("int_val", np.int8),
    "DT_STRING": ("string_val", object), "DT_INT64": ("int64_val", np.int64), "DT_BOOL": ("bool_val", np.bool_),
    "DT_UINT16": ("int_val", np.uint16), "DT_HALF": ("half_val", np.float16), "DT_UINT32": ("uint32_val", np.uint32),
    "DT_UINT64": ("uint64_val", np.uint64),
}  # fmt: skip
"""Type -> the field of a TensorProto that holds its values, and NumPy's type. Strings are objects, UTF-8 bytes."""
_NUMBERS = ENUMS["tensorflow.DataType"]
_OF_NUMBER: dict[int, tuple[str, Any]] = {_NUMBERS[name]: field for name, field in _FIELDS.items()}
_OF_DTYPE = {np.dtype(dtype): _NUMBERS[name] for name, (_, dtype) in _FIELDS.items()}


def to_proto(array: npt.NDArray[Any]) -> Any:
    """A TensorProto of an array: numbers as their bytes, strings (objects) one by one.

    Raises:
        ValueError: its type is none that is sent.
    """
    if array.dtype not in _OF_DTYPE:
        raise ValueError(f"an array should hold strings as objects, numbers or booleans. Received: {array.dtype}.")
    proto = TensorProto(dtype=_OF_DTYPE[array.dtype])
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
    else:
        little = array.dtype.newbyteorder("<")
        proto.tensor_content = np.ascontiguousarray(array, little).tobytes()
    return proto


def to_array(proto: Any) -> npt.NDArray[Any]:
    """The array that a TensorProto stands for.

    As TensorFlow has it, fewer values than elements mean that the last one fills the rest, and none that all are 0 or
    empty.

    Raises:
        ValueError: the type is unknown, the shape is unknown, or asks for more than a reply may hold, or it does not
            agree with the values.
    """
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    if proto.dtype not in _OF_NUMBER:
        raise ValueError(f"a tensor should be of a type in {sorted(_OF_NUMBER)} (DataType). Received: {proto.dtype}.")
    field, dtype = _OF_NUMBER[proto.dtype]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise ValueError(f"a tensor should have a known shape. Received: {list(shape)}.")
    elements, size = math.prod(shape), np.dtype(dtype).itemsize
    if elements * size > MAX_REPLY_BYTES:
        raise ValueError(f"a tensor should hold at most {MAX_REPLY_BYTES} bytes. Received: {list(shape)}.")
    values = getattr(proto, field)
    if proto.tensor_content:
        if dtype is object or len(proto.tensor_content) != elements * size:
            received = f"{len(proto.tensor_content)} bytes of `tensor_content` for {np.dtype(dtype)} {list(shape)}"
            raise ValueError(f"a tensor's values should fill its shape. Received: {received}.")
        little = np.frombuffer(proto.tensor_content, np.dtype(dtype).newbyteorder("<"))
        return little.astype(dtype).reshape(shape)
    if len(values) > elements:
        raise ValueError(f"a tensor's values should fill its shape. Received: {len(values)} values for {list(shape)}.")
    return _filled(values, elements, dtype).reshape(shape)


def _filled(values: Any, elements: int, dtype: Any) -> npt.NDArray[Any]:
    if dtype is object:
        array = np.full(elements, values[-1] if values else b"", object)
        array[: len(values)] = list(values)
        return array
    if dtype is np.float16:  # sent as the bits of each number
        given = np.array(values, np.uint16).view(np.float16)
    else:
        given = np.fromiter(values, dtype, len(values))
    return np.concatenate([given, np.full(elements - len(given), given[-1] if len(given) else 0, dtype)])
