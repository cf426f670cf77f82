"""TF Serving's messages, as far as a client needs them, without TensorFlow: that takes seconds and 600 MB to import.

The tables name messages and fields as TF Serving's own .proto files do. The classes live in a descriptor pool of their
own, so that TensorFlow, which brings the same names, may be imported before, after, or never. A test holds the tables
to `tensorflow_serving.apis`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ENUMS: Mapping[str, Mapping[str, int]] = {
    "tensorflow.DataType": {
        "DT_INVALID": 0, "DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_UINT8": 4, "DT_INT16": 5, "DT_INT8": 6,
        "DT_STRING": 7, "DT_INT64": 9, "DT_BOOL": 10, "DT_UINT16": 17, "DT_HALF": 19, "DT_UINT32": 22, "DT_UINT64": 23,
    },
    "tensorflow.serving.ModelVersionStatus.State": {
        "UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50,
    },
}  # fmt: skip
MESSAGES: Mapping[str, tuple[str, ...]] = {
    "google.protobuf.Any": ("string type_url = 1", "bytes value = 2"),
    "google.protobuf.Int64Value": ("int64 value = 1",),
    "tensorflow.TensorShapeProto": ("repeated tensorflow.TensorShapeProto.Dim dim = 2", "bool unknown_rank = 3"),
    "tensorflow.TensorShapeProto.Dim": ("int64 size = 1",),
    "tensorflow.TensorProto": (
        "tensorflow.DataType dtype = 1",
        "tensorflow.TensorShapeProto tensor_shape = 2",
        "bytes tensor_content = 4",
        "repeated int32 half_val = 13",
        "repeated float float_val = 5",
        "repeated double double_val = 6",
        "repeated int32 int_val = 7",
        "repeated bytes string_val = 8",
        "repeated int64 int64_val = 10",
        "repeated bool bool_val = 11",
        "repeated uint32 uint32_val = 16",
        "repeated uint64 uint64_val = 17",
    ),
    "tensorflow.TensorInfo": (
        "string name = 1", "tensorflow.DataType dtype = 2", "tensorflow.TensorShapeProto tensor_shape = 3",
    ),
    "tensorflow.SignatureDef": (
        "map tensorflow.TensorInfo inputs = 1", "map tensorflow.TensorInfo outputs = 2", "string method_name = 3",
    ),
    "tensorflow.serving.ModelSpec": (
        "string name = 1",
        "google.protobuf.Int64Value version = 2",
        "string version_label = 4",
        "string signature_name = 3",
    ),
    "tensorflow.serving.PredictRequest": (
        "tensorflow.serving.ModelSpec model_spec = 1", "map tensorflow.TensorProto inputs = 2",
    ),
    "tensorflow.serving.PredictResponse": (
        "tensorflow.serving.ModelSpec model_spec = 2", "map tensorflow.TensorProto outputs = 1",
    ),
    "tensorflow.serving.GetModelMetadataRequest": (
        "tensorflow.serving.ModelSpec model_spec = 1", "repeated string metadata_field = 2",
    ),
    "tensorflow.serving.GetModelMetadataResponse": (
        "tensorflow.serving.ModelSpec model_spec = 1", "map google.protobuf.Any metadata = 2",
    ),
    "tensorflow.serving.SignatureDefMap": ("map tensorflow.SignatureDef signature_def = 1",),
    "tensorflow.serving.GetModelStatusRequest": ("tensorflow.serving.ModelSpec model_spec = 1",),
    "tensorflow.serving.StatusProto": ("string error_message = 2",),
    "tensorflow.serving.ModelVersionStatus": (
        "int64 version = 1",
        "tensorflow.serving.ModelVersionStatus.State state = 2",
        "tensorflow.serving.StatusProto status = 3",
    ),
    "tensorflow.serving.GetModelStatusResponse": (
        "repeated tensorflow.serving.ModelVersionStatus model_version_status = 1",
    ),
    "tensorflow.serving.SamplingConfig": ("double sampling_rate = 1",),
    "tensorflow.serving.LogMetadata": (
        "tensorflow.serving.ModelSpec model_spec = 1",
        "tensorflow.serving.SamplingConfig sampling_config = 2",
        "int64 timestamp_secs = 4",
    ),
    "tensorflow.serving.PredictLog": (
        "tensorflow.serving.PredictRequest request = 1", "tensorflow.serving.PredictResponse response = 2",
    ),
    "tensorflow.serving.PredictionLog": (
        "tensorflow.serving.LogMetadata log_metadata = 1", "tensorflow.serving.PredictLog predict_log = 6",
    ),
    "tensorflow.BytesList": ("repeated bytes value = 1",),
    "tensorflow.Int64List": ("repeated int64 value = 1",),
    "tensorflow.Feature": ("tensorflow.BytesList bytes_list = 1", "tensorflow.Int64List int64_list = 3"),
    "tensorflow.Features": ("map tensorflow.Feature feature = 1",),
    "tensorflow.Example": ("tensorflow.Features features = 1",),
}  # fmt: skip
"""Message -> its fields as a .proto file writes them, but that `map X` stands for a map of strings to X."""

_PACKAGES = ("google.protobuf", "tensorflow", "tensorflow.serving")
_FIELD = re.compile(r"(?:(repeated|map) )?(\S+) (\w+) = (\d+)")
_Proto = descriptor_pb2.FieldDescriptorProto


def _classes() -> dict[str, Any]:
    """Message classes by full name, from the tables."""
    files = {
        package: descriptor_pb2.FileDescriptorProto(name=f"lcr_ser/{package}.proto", package=package, syntax="proto3")
        for package in _PACKAGES
    }
    places: dict[str, Any] = {}
    for name in MESSAGES:
        outer, _, own = name.rpartition(".")
        place = places[outer].nested_type if outer in places else files[outer].message_type
        places[name] = place.add(name=own)
    for name, values in ENUMS.items():
        outer, _, own = name.rpartition(".")
        enum = (places.get(outer) or files[outer]).enum_type.add(name=own)
        for label, number in values.items():
            enum.value.add(name=label, number=number)
    for name, fields in MESSAGES.items():
        for field in fields:
            _add_field(places[name], name, field)
    pool = descriptor_pool.DescriptorPool()
    for position, package in enumerate(_PACKAGES):
        files[package].dependency.extend(files[other].name for other in _PACKAGES[:position])
        pool.AddSerializedFile(files[package].SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):
        class_of: Any = message_factory.GetMessageClass
    else:  # protobuf 3.20
        class_of = getattr(message_factory.MessageFactory(pool), "GetPrototype")  # noqa: B009 - the stubs are newer
    return {name: class_of(pool.FindMessageTypeByName(name)) for name in MESSAGES}


def _add_field(message: Any, message_name: str, declaration: str) -> None:
    found = _FIELD.fullmatch(declaration)
    assert found, declaration  # noqa: S101 - the table is ours
    kind, of, name, number = found.groups()
    if kind == "map":  # which on the wire is a repeated message of a key and a value
        own = name.title().replace("_", "") + "Entry"
        entry = message.nested_type.add(name=own)
        entry.options.map_entry = True
        _add_field(entry, f"{message_name}.{own}", "string key = 1")
        _add_field(entry, f"{message_name}.{own}", f"{of} value = 2")
        kind, of = "repeated", f"{message_name}.{own}"
    field = message.field.add(name=name, number=int(number))
    field.label = _Proto.LABEL_REPEATED if kind == "repeated" else _Proto.LABEL_OPTIONAL
    if "." in of:
        field.type, field.type_name = _Proto.TYPE_ENUM if of in ENUMS else _Proto.TYPE_MESSAGE, f".{of}"
    else:
        field.type = _Proto.Type.Value(f"TYPE_{of.upper()}")


CLASSES: Mapping[str, Any] = _classes()
Example = CLASSES["tensorflow.Example"]
GetModelMetadataRequest = CLASSES["tensorflow.serving.GetModelMetadataRequest"]
GetModelStatusRequest = CLASSES["tensorflow.serving.GetModelStatusRequest"]
PredictionLog = CLASSES["tensorflow.serving.PredictionLog"]
PredictRequest = CLASSES["tensorflow.serving.PredictRequest"]
SignatureDefMap = CLASSES["tensorflow.serving.SignatureDefMap"]
TensorProto = CLASSES["tensorflow.TensorProto"]


class Method(NamedTuple):
    """A method of TF Serving: its path, and how its messages are written and read."""

    path: str
    reply: Any

    @property
    def name(self) -> str:
        """Without the service."""
        return self.path.rpartition("/")[2]


PREDICT = Method("/tensorflow.serving.PredictionService/Predict", CLASSES["tensorflow.serving.PredictResponse"])
METADATA = Method(
    "/tensorflow.serving.PredictionService/GetModelMetadata", CLASSES["tensorflow.serving.GetModelMetadataResponse"]
)
STATUS = Method("/tensorflow.serving.ModelService/GetModelStatus", CLASSES["tensorflow.serving.GetModelStatusResponse"])
