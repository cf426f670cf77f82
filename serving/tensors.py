"""From the tensors of a request to the inputs of a signature, checked before the graph sees them."""

from collections.abc import Mapping
from typing import Any

import grpc
import tensorflow as tf

from serving.errors import RequestError, trimmed

MAX_ELEMENTS = 2**24
"""Bounds what a short message may ask for: a TensorProto can name a huge shape and fill it from one value."""


def decode_inputs(specs: Mapping[str, Any], protos: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Checks names, types and shapes of a request against a signature's inputs, and converts them.

    Args:
        specs: input name -> `tf.TensorSpec`.
        protos: input name -> `TensorProto`.

    Returns:
        input name -> tensor.

    Raises:
        RequestError: INVALID_ARGUMENT, naming the input.
    """
    missing, unknown = sorted(specs.keys() - protos.keys()), sorted(protos.keys() - specs.keys())
    if missing or unknown:
        raise _invalid(f"missing inputs {missing}, unknown inputs {unknown}; the signature takes {sorted(specs)}")
    return {name: _decode(name, specs[name], proto) for name, proto in protos.items()}


def _decode(name: str, spec: Any, proto: Any) -> tf.Tensor:
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    elements = 1
    for size in shape:
        elements *= size
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0 or elements > MAX_ELEMENTS:
        raise _invalid(f"input {name!r}: shape {list(shape)} is unknown, negative or above {MAX_ELEMENTS} elements")
    if proto.dtype != spec.dtype.as_datatype_enum or not spec.shape.is_compatible_with(shape):
        received = tf.dtypes.as_dtype(proto.dtype).name if proto.dtype in _DTYPES else f"type {proto.dtype}"
        wanted = spec.shape.as_list() if spec.shape.rank is not None else "of any shape"
        raise _invalid(f"input {name!r}: expected {spec.dtype.name} {wanted}, got {received} {list(shape)}")
    try:
        return tf.constant(tf.make_ndarray(proto), dtype=spec.dtype, shape=shape)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise _invalid(f"input {name!r}: cannot be decoded: {trimmed(error)}") from error


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


_DTYPES = frozenset(dtype.as_datatype_enum for dtype in (
    tf.string, tf.int32, tf.int64, tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.bool, tf.uint8, tf.int8,
    tf.uint16, tf.int16, tf.uint32, tf.uint64, tf.complex64, tf.complex128,
))
