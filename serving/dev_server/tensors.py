"""From the tensors of a request to the inputs of a signature, checked before anything is decoded.

A TensorProto can name any shape and fill it from one value, so what a message asks for says nothing of its own size:
names, types, shapes and the number of values are compared with the signature and the limits first.
"""

import math
from collections.abc import Mapping
from typing import Any

import grpc
import tensorflow as tf

from serving.dev_server.errors import RequestError
from serving.limits import MAX_MESSAGE_BYTES, excess

_VALUES = {
    tf.string: "string_val", tf.float32: "float_val", tf.float64: "double_val", tf.int32: "int_val",
    tf.int64: "int64_val", tf.bool: "bool_val",
}  # fmt: skip
"""The field of a TensorProto that holds the values of a type."""

_MOST_INPUTS, _MOST_DIMENSIONS = 100, 10
"""More are not looked at one by one; no signature has as many."""


def decode_inputs(specs: Mapping[str, Any], protos: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Check names, types, shapes and sizes of a request against a signature's inputs, and convert them.

    Args:
        specs: input name -> `tf.TensorSpec`.
        protos: input name -> `TensorProto`.

    Returns:
        input name -> tensor.

    Raises:
        RequestError: INVALID_ARGUMENT, naming the input, the value and what is expected.
    """
    if len(protos) > _MOST_INPUTS:
        raise _invalid(f"at most {_MOST_INPUTS} inputs are read, got {len(protos)}; expected {sorted(specs)}")
    missing, unknown = sorted(specs.keys() - protos.keys()), sorted(protos.keys() - specs.keys())
    if missing or unknown:
        raise _invalid(f"missing inputs {missing}, unknown inputs {unknown}; the signature takes {sorted(specs)}")
    shapes = {name: _shape(name, specs[name], proto) for name, proto in protos.items()}
    if message := excess(shapes):
        raise _invalid(message)
    for name, shape in shapes.items():
        _check_values(name, protos[name], specs[name].dtype, shape)
    return {
        name: tf.constant(tf.make_ndarray(proto), specs[name].dtype, shapes[name]) for name, proto in protos.items()
    }


def _shape(name: str, spec: Any, proto: Any) -> tuple[int, ...]:
    dimensions = proto.tensor_shape.dim
    if len(dimensions) > _MOST_DIMENSIONS:
        raise _invalid(f"input {name!r}: at most {_MOST_DIMENSIONS} dimensions are read, got {len(dimensions)}")
    shape = tuple(dimension.size for dimension in dimensions)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise _invalid(f"input {name!r}: shape {list(shape)} is unknown or negative")
    if proto.dtype != spec.dtype.as_datatype_enum or not spec.shape.is_compatible_with(shape):
        wanted = spec.shape.as_list() if spec.shape.rank is not None else "of any shape"
        received = f"{_name_of_type(proto.dtype)} {list(shape)}"
        raise _invalid(f"input {name!r}: expected {spec.dtype.name} {wanted}, got {received}")
    return shape


def _check_values(name: str, proto: Any, dtype: tf.DType, shape: tuple[int, ...]) -> None:
    """A value for each element or one for all, and no more bytes than a message could have carried one by one."""
    elements, field = math.prod(shape), _VALUES[dtype]
    values = getattr(proto, field)
    size = 1 if dtype == tf.string else dtype.size
    if proto.tensor_content:
        if dtype == tf.string:
            raise _invalid(f"input {name!r}: strings are read from `string_val`, got `tensor_content`")
        if len(proto.tensor_content) != elements * size:
            raise _invalid(
                f"input {name!r}: shape {list(shape)} takes {elements * size} bytes of `tensor_content`, "
                f"got {len(proto.tensor_content)}"
            )
    elif len(values) not in {elements, min(elements, 1)}:
        raise _invalid(
            f"input {name!r}: shape {list(shape)} takes {elements} values of `{field}`, or one for all, "
            f"got {len(values)}"
        )
    if dtype == tf.string:
        size = len(values[0]) if len(values) == 1 else 0
    if elements * size > MAX_MESSAGE_BYTES:
        raise _invalid(f"input {name!r}: at most {MAX_MESSAGE_BYTES} bytes are read, got {elements} elements of {size}")


def _name_of_type(number: int) -> str:
    try:
        return tf.dtypes.as_dtype(number).name
    except TypeError:
        return f"type {number}"


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
