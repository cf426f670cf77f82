"""The client's own messages and tensors are those of TF Serving and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2, descriptor_pb2, wrappers_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
)

from serving.client import wire
from serving.client.request import RankRequest, Search, request_inputs
from serving.client.tensors import to_array, to_proto

_LOG = prediction_log_pb2.PredictionLog.DESCRIPTOR.fields_by_name
_METADATA = _LOG["log_metadata"].message_type
THEIRS = {
    message.full_name: message
    for message in (
        any_pb2.Any.DESCRIPTOR,
        wrappers_pb2.Int64Value.DESCRIPTOR,
        tensor_shape_pb2.TensorShapeProto.DESCRIPTOR,
        tensor_shape_pb2.TensorShapeProto.Dim.DESCRIPTOR,
        tensor_pb2.TensorProto.DESCRIPTOR,
        meta_graph_pb2.TensorInfo.DESCRIPTOR,
        meta_graph_pb2.SignatureDef.DESCRIPTOR,
        model_pb2.ModelSpec.DESCRIPTOR,
        predict_pb2.PredictRequest.DESCRIPTOR,
        predict_pb2.PredictResponse.DESCRIPTOR,
        get_model_metadata_pb2.GetModelMetadataRequest.DESCRIPTOR,
        get_model_metadata_pb2.GetModelMetadataResponse.DESCRIPTOR,
        get_model_metadata_pb2.SignatureDefMap.DESCRIPTOR,
        get_model_status_pb2.GetModelStatusRequest.DESCRIPTOR,
        get_model_status_pb2.GetModelStatusResponse.DESCRIPTOR,
        get_model_status_pb2.ModelVersionStatus.DESCRIPTOR,
        get_model_status_pb2.ModelVersionStatus.DESCRIPTOR.fields_by_name["status"].message_type,
        prediction_log_pb2.PredictionLog.DESCRIPTOR,
        prediction_log_pb2.PredictLog.DESCRIPTOR,
        _METADATA,
        _METADATA.fields_by_name["sampling_config"].message_type,
        *(
            message.DESCRIPTOR
            for message in (
                tf.train.BytesList, tf.train.Int64List, tf.train.Feature, tf.train.Features, tf.train.Example,
            )
        ),
    )
}  # fmt: skip


def _field(field):
    of_message = descriptor_pb2.DescriptorProto()
    field.containing_type.CopyToProto(of_message)  # a field itself says it too, where that is not deprecated
    [label] = [one.label for one in of_message.field if one.name == field.name]
    of = field.message_type or field.enum_type
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    kinds = tuple(_field(part) for part in of.fields) if is_map else of and of.full_name
    return field.name, field.number, field.type, label, kinds


@pytest.mark.parametrize("name", sorted(wire.MESSAGES))
def test_every_field_is_that_of_tf_serving(name):
    theirs = THEIRS[name].fields_by_name
    ours = [_field(field) for field in wire.CLASSES[name].DESCRIPTOR.fields]
    assert ours == [_field(theirs[field.name]) for field in wire.CLASSES[name].DESCRIPTOR.fields]
    assert len(ours) == len(wire.MESSAGES[name])


def test_every_enum_is_that_of_tf_serving():
    assert wire.ENUMS["tensorflow.DataType"].items() <= dict(types_pb2.DataType.items()).items()
    states = get_model_status_pb2.ModelVersionStatus.State
    assert wire.ENUMS["tensorflow.serving.ModelVersionStatus.State"] == dict(states.items())


def test_the_methods_are_those_of_tf_serving():
    for method, file, reply in (
        (wire.PREDICT, "Prediction", predict_pb2.PredictResponse),
        (wire.METADATA, "Prediction", get_model_metadata_pb2.GetModelMetadataResponse),
        (wire.STATUS, "Model", get_model_status_pb2.GetModelStatusResponse),
    ):
        assert method.path == f"/tensorflow.serving.{file}Service/{method.name}"
        assert method.reply.DESCRIPTOR.full_name == reply.DESCRIPTOR.full_name


def test_messages_are_read_by_tf_serving_as_written_and_the_other_way_round():
    ours = wire.PredictRequest()
    ours.model_spec.name, ours.model_spec.signature_name, ours.model_spec.version.value = "lcr_ser", "rank", 7
    asked = request_inputs([RankRequest("ü", ["a", "b"], ["i"], [Search(["w"], ["x"], 5)], [2**40])])
    for name, array in asked.items():
        ours.inputs[name].CopyFrom(to_proto(array))
    theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert (theirs.model_spec.name, theirs.model_spec.signature_name) == ("lcr_ser", "rank")
    assert theirs.model_spec.version.value == 7
    assert {name: tf.make_ndarray(proto).tolist() for name, proto in theirs.inputs.items()} == {
        name: array.tolist() for name, array in asked.items()
    }
    again = wire.PredictRequest.FromString(theirs.SerializeToString())
    assert again == ours
    label = model_pb2.ModelSpec(version_label="stable")
    ours.model_spec.Clear()
    ours.model_spec.version_label = "stable"
    assert ours.model_spec.SerializeToString() == label.SerializeToString()


DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "O")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    elements = st.binary(max_size=4) if dtype == "O" else arrays.from_dtype(np.dtype(dtype), allow_nan=False)
    return draw(arrays.arrays(np.dtype(dtype), draw(SHAPES), elements=elements))


@given(tensors())
@settings(max_examples=200)
def test_an_array_is_written_as_tensorflow_reads_it_and_read_as_tensorflow_writes_it(array):
    ours = tensor_pb2.TensorProto.FromString(to_proto(array).SerializeToString())
    theirs = wire.TensorProto.FromString(tf.make_tensor_proto(array, shape=array.shape).SerializeToString())
    for read in (tf.make_ndarray(ours), to_array(theirs), to_array(to_proto(array))):
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


FIELDS = {
    "f2": ("half_val", [15360, 0]), "f4": ("float_val", [0.5, -1.0]), "f8": ("double_val", [0.5]),
    "i1": ("int_val", [-7]), "i2": ("int_val", [-7]), "i4": ("int_val", [2**31 - 1, 3]),
    "i8": ("int64_val", [-(2**63)]), "u1": ("int_val", [255]), "u2": ("int_val", [65535]),
    "u4": ("uint32_val", [2**32 - 1]), "u8": ("uint64_val", [2**64 - 1]), "?": ("bool_val", [True, False]),
    "O": ("string_val", [b"a", b""]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("elements", [2, 5])
def test_values_one_by_one_are_read_as_tensorflow_reads_them_the_last_for_the_rest(dtype, elements):
    field, values = FIELDS[dtype]
    number = tf.string.as_datatype_enum if dtype == "O" else tf.as_dtype(np.dtype(dtype)).as_datatype_enum
    for given_values in (values, []):
        theirs = tensor_pb2.TensorProto(dtype=number, **{field: given_values})
        theirs.tensor_shape.dim.add().size = elements
        read = to_array(wire.TensorProto.FromString(theirs.SerializeToString()))
        no_strings = (
            dtype == "O" and not given_values
        )  # which `make_ndarray` gives as str, and a string tensor as bytes
        np.testing.assert_array_equal(read, np.full(elements, b"", object) if no_strings else tf.make_ndarray(theirs))
        assert read.dtype == np.dtype(dtype)


def _proto(shape, dtype=1, **values):
    proto = wire.TensorProto(dtype=dtype, **values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "says"),
    [
        (_proto([2], float_val=[1, 2, 3]), r"fill its shape. Received: 3 values for \[2\]"),
        (_proto([2], tensor_content=b"123"), r"Received: 3 bytes of `tensor_content` for float32 \[2\]"),
        (_proto([1], dtype=7, tensor_content=b"a"), r"Received: 1 bytes of `tensor_content` for object \[1\]"),
        (_proto([-1]), r"known shape. Received: \[-1\]"),
        (_proto([2**40, 2**40], float_val=[1]), "at most 67108864 bytes"),
        (_proto([1], dtype=21), "of a type in .* Received: 21"),
        (wire.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "known shape"),
    ],
)
def test_a_tensor_that_does_not_agree_with_itself_is_refused(proto, says):
    with pytest.raises(ValueError, match=says):
        to_array(proto)


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="Received: complex64"):
        to_proto(np.zeros(1, np.complex64))
