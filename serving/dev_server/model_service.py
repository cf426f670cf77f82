"""TF Serving's ModelService, of which tensorflow-serving-api has a module that protobuf 5 and later cannot import.

It sets an option of a descriptor in Python, which they refuse (2.19.1 is the newest release). Its messages lie in other
modules; what is missing is the service, two methods, which is put together here.
"""

from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

NAME: Final = "tensorflow.serving.ModelService"
_FILE = "tensorflow_serving/apis/model_service.proto"
_METHODS = {
    "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse),
    "HandleReloadConfigRequest": (model_management_pb2.ReloadConfigRequest, model_management_pb2.ReloadConfigResponse),
}


def describe() -> None:
    """Make the service known to the pool of all descriptors, where reflection looks it up."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_FILE)
    except KeyError:
        file = descriptor_pb2.FileDescriptorProto(
            name=_FILE,
            package=NAME.rpartition(".")[0],
            dependency=[get_model_status_pb2.DESCRIPTOR.name, model_management_pb2.DESCRIPTOR.name],
            service=[
                descriptor_pb2.ServiceDescriptorProto(
                    name=NAME.rpartition(".")[2],
                    method=[
                        descriptor_pb2.MethodDescriptorProto(
                            name=method,
                            input_type=f".{request.DESCRIPTOR.full_name}",
                            output_type=f".{reply.DESCRIPTOR.full_name}",
                        )
                        for method, (request, reply) in _METHODS.items()
                    ],
                )
            ],
            # With this the file is the API's own to the byte: where that can be imported, both may be.
            options=descriptor_pb2.FileOptions(cc_enable_arenas=True),
            syntax="proto3",
        )
        pool.AddSerializedFile(file.SerializeToString())


def add_to_server(servicer: Any, server: grpc.Server) -> None:
    """Let a server answer with the methods of an object that have the service's names.

    Args:
        servicer: with methods of a request and a `grpc.ServicerContext`; one that it lacks is UNIMPLEMENTED.
        server: not started yet.
    """
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method),
            request_deserializer=request.FromString,
            response_serializer=reply.SerializeToString,
        )
        for method, (request, reply) in _METHODS.items()
        if hasattr(servicer, method)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))


def call(channel: grpc.Channel, method: str) -> grpc.UnaryUnaryMultiCallable:
    """A method of the service, to be called with its request."""
    request, reply = _METHODS[method]
    return channel.unary_unary(
        f"/{NAME}/{method}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString
    )
