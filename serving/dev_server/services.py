"""TF Serving's gRPC services on top of a model manager."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model.contract import SIGNATURE_DEFAULT
from serving.dev_server.errors import RequestError
from serving.dev_server.manager import ModelManager
from serving.dev_server.servable import LoadedVersion

_LOGGER = logging.getLogger(__name__)
_SIGNATURES = "signature_def"
_LARGE_BYTES = 2**20


def _check_name(manager: ModelManager, spec: Any) -> None:
    if not spec.name:
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "model_spec.name is empty")
    if spec.name != manager.name:
        message = f"model {spec.name!r} not found; this server has {manager.name!r}"
        raise RequestError(grpc.StatusCode.NOT_FOUND, message)
    if spec.version_label:
        message = f"version label {spec.version_label!r} is unknown: this server has none; give a version"
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _version(spec: Any) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _servable(manager: ModelManager, spec: Any) -> LoadedVersion:
    _check_name(manager, spec)
    return manager.servable(_version(spec))


class Answers(grpc.ServerInterceptor):
    """Reads the messages of all methods, and answers what cannot be answered with its status.

    A RequestError says its own; bytes that are no message are the client's mistake, where gRPC itself would say
    INTERNAL; anything else is our fault, and its text stays in the log.

    Large messages are answered by one thread, one after another: a field of two bytes may take hundreds in memory, and
    what a thread has freed the C library keeps for that thread.
    """

    def __init__(self) -> None:
        self._for_large = ThreadPoolExecutor(1)

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        """Take the place of a method's handler; all methods here are unary."""
        handler, name = continuation(handler_call_details), handler_call_details.method
        if handler is None:
            return None

        def answer(data: bytes, context: grpc.ServicerContext) -> Any:
            if len(data) > _LARGE_BYTES:
                answered = self._for_large.submit(_answered, handler, name, data, context).result()
            else:
                answered = _answered(handler, name, data, context)
            return context.abort(answered.code, answered.message) if isinstance(answered, RequestError) else answered

        return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)


def _answered(handler: grpc.RpcMethodHandler, name: str, data: bytes, context: grpc.ServicerContext) -> Any:
    """The response, or a RequestError that holds on to nothing: a traceback would keep the message alive."""
    try:
        return handler.unary_unary(handler.request_deserializer(data), context)
    except DecodeError:
        message = f"{name}: {len(data)} bytes that are no message of its type"
        return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
    except RequestError as error:
        return RequestError(error.code, error.message)
    except NotImplementedError:
        return RequestError(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not implemented")
    except Exception:
        _LOGGER.exception("%s failed", name)
        return RequestError(grpc.StatusCode.INTERNAL, f"{name} failed; see the server's log")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata. Classify, Regress and MultiInference answer UNIMPLEMENTED."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def Predict(self, request: Any, _context: Any) -> Any:
        """Run a signature of the loaded version."""
        servable = _servable(self._manager, request.model_spec)
        signature = request.model_spec.signature_name or SIGNATURE_DEFAULT
        outputs = servable.call(signature, request.inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._manager.name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = signature
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request: Any, _context: Any) -> Any:
        """Describe the signatures of the loaded version."""
        if list(request.metadata_field) != [_SIGNATURES]:
            message = f"metadata_field: expected [{_SIGNATURES!r}], got {list(request.metadata_field)}"
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
        servable = _servable(self._manager, request.model_spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.signature_defs.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._manager.name
        response.model_spec.version.value = servable.version
        response.metadata[_SIGNATURES].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus. HandleReloadConfigRequest answers UNIMPLEMENTED."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def GetModelStatus(self, request: Any, _context: Any) -> Any:
        """List the states of the versions seen so far, newest first."""
        _check_name(self._manager, request.model_spec)
        wanted = _version(request.model_spec)
        states = [state for state in self._manager.states() if wanted in (None, state.version)]
        if not states:
            what = "any version" if wanted is None else f"version {wanted}"
            message = f"model {self._manager.name!r}: {what} is not known"
            raise RequestError(grpc.StatusCode.NOT_FOUND, message)
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in states:
            entry = response.model_version_status.add()
            entry.version = state.version
            entry.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
            if state.error:
                entry.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
                entry.status.error_message = state.error
        return response
