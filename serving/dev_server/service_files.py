"""What server reflection tells of TF Serving's two services, where their own modules cannot be imported.

`prediction_service_pb2` and `model_service_pb2` of tensorflow-serving-api set an option of a descriptor in Python, as
protobuf 4 and later do not allow (2.19.1 is the newest release). Messages and stubs lie in other modules and are well;
what these two hold beside them is the description of a service, which is put together here.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

_PACKAGE = "tensorflow.serving"
_METHODS: Final[dict[str, dict[str, tuple[Any, str]]]] = {
    "PredictionService": {
        "Classify": (classification_pb2, "Classification"),
        "Regress": (regression_pb2, "Regression"),
        "Predict": (predict_pb2, "Predict"),
        "MultiInference": (inference_pb2, "MultiInference"),
        "GetModelMetadata": (get_model_metadata_pb2, "GetModelMetadata"),
    },
    "ModelService": {
        "GetModelStatus": (get_model_status_pb2, "GetModelStatus"),
        "HandleReloadConfigRequest": (model_management_pb2, "ReloadConfig"),
    },
}
"""By service and method: the module of its messages, and what the names of its request and response begin with."""
FILES: Final = {
    "PredictionService": "tensorflow_serving/apis/prediction_service.proto",
    "ModelService": "tensorflow_serving/apis/model_service.proto",
}


def describe_services() -> list[str]:
    """Make both services known to the pool of all descriptors, where reflection looks for them; gives their names."""
    pool = descriptor_pool.Default()
    for service, file in FILES.items():
        try:
            pool.FindFileByName(file)
        except KeyError:
            pool.AddSerializedFile(_file(service).SerializeToString())
    return [f"{_PACKAGE}.{service}" for service in FILES]


def _file(service: str) -> descriptor_pb2.FileDescriptorProto:
    methods = _METHODS[service]
    return descriptor_pb2.FileDescriptorProto(
        name=FILES[service],
        package=_PACKAGE,
        dependency=sorted({module.DESCRIPTOR.name for module, _ in methods.values()}),
        service=[
            descriptor_pb2.ServiceDescriptorProto(
                name=service,
                method=[
                    descriptor_pb2.MethodDescriptorProto(
                        name=name,
                        input_type=f".{_PACKAGE}.{begin}Request",
                        output_type=f".{_PACKAGE}.{begin}Response",
                    )
                    for name, (_, begin) in methods.items()
                ],
            )
        ],
        # With this a file is the API's own to the byte: where the API's can be imported, a process may hold both.
        options=descriptor_pb2.FileOptions(cc_enable_arenas=True),
        syntax="proto3",
    )
