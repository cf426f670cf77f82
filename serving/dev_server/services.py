"""TF Serving's gRPC services on top of the models."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from serving.dev_server.errors import RequestError, invalid
from serving.dev_server.manager import ModelManager, not_found
from serving.dev_server.metrics import REQUEST_LATENCY, REQUESTS, Metrics
from serving.dev_server.servable import LoadedVersion
from serving.dev_server.turns import Turns

_LOGGER = logging.getLogger(__name__)
_SERVICES = "/tensorflow.serving."
_PREDICT = _SERVICES + "PredictionService/Predict"
_SIGNATURES = "signature_def"
_LARGE_BYTES = 2**20

Models = Mapping[str, ModelManager]


class Answers(grpc.ServerInterceptor):
    """Reads the messages of TF Serving's methods, and answers what cannot be answered with its status.

    A RequestError says its own; bytes that are no message are the client's mistake, where gRPC itself would say
    INTERNAL; anything else is our fault, and its text stays in the log.

    Large messages are answered one after another, since a field of two bytes may take hundreds in memory.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns, self._large = turns, threading.Lock()

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        """Take the place of a method's handler; all methods of TF Serving are unary."""
        handler, name = continuation(handler_call_details), handler_call_details.method
        if not name.startswith(_SERVICES):
            return handler

        def answer(data: bytes, context: grpc.ServicerContext) -> Any:
            def computed() -> Any:
                with self._large if len(data) > _LARGE_BYTES else contextlib.nullcontext():
                    return _answered(handler, name, data, context)

            try:
                answered = self._turns.take(computed, context) if name == _PREDICT else computed()
            except RequestError as error:
                answered = error
            return context.abort(answered.code, answered.message) if isinstance(answered, RequestError) else answered

        return grpc.unary_unary_rpc_method_handler(answer, None, handler and handler.response_serializer)


def _answered(handler: Any, name: str, data: bytes, context: grpc.ServicerContext) -> Any:
    """The response, or a RequestError that holds on to nothing: a traceback would keep the message alive."""
    try:
        if handler is None:
            raise NotImplementedError
        return handler.unary_unary(handler.request_deserializer(data), context)
    except DecodeError:
        return invalid(f"{name}: {len(data)} bytes that are no message of its type")
    except RequestError as error:
        return RequestError(error.code, error.message)
    except NotImplementedError:
        message = f"{name} is not implemented by the development server; use TF Serving"
        return RequestError(grpc.StatusCode.UNIMPLEMENTED, message)
    except Exception:
        _LOGGER.exception("%s failed", name)
        return RequestError(grpc.StatusCode.INTERNAL, f"{name} failed; see the server's log")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata. Classify, Regress and MultiInference answer UNIMPLEMENTED."""

    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models, self._metrics = models, metrics

    def Predict(self, request: Any, _context: Any) -> Any:
        """Run a signature of a loaded version."""
        started, status = time.perf_counter(), grpc.StatusCode.INTERNAL
        # Names that nobody serves are counted as one: a client could make up any number.
        name = request.model_spec.name if request.model_spec.name in self._models else ""
        try:
            with _servable(self._models, request) as servable:
                response = servable.predict(request)
            status = grpc.StatusCode.OK
            took = time.perf_counter() - started
            self._metrics.observe(REQUEST_LATENCY, took, model_name=name, API="Predict", entrypoint="GRPC")
            return response
        except RequestError as error:
            status = error.code
            raise
        finally:
            self._metrics.count(REQUESTS, model_name=name, status=status.name)

    def GetModelMetadata(self, request: Any, _context: Any) -> Any:
        """Describe the signatures of a loaded version."""
        _check_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURES:
                raise invalid(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with _servable(self._models, request) as servable:
            for name, definition in servable.signature_defs.items():
                signatures.signature_def[name].CopyFrom(definition)
            response.model_spec.name, response.model_spec.version.value = servable.name, servable.version
        response.metadata[_SIGNATURES].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus. HandleReloadConfigRequest answers UNIMPLEMENTED."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(self, request: Any, _context: Any) -> Any:
        """List the states of the versions seen so far, newest first."""
        _check_spec(request)
        spec = request.model_spec
        wanted = spec.version.value if spec.HasField("version") else None
        states = self._models[spec.name].states() if spec.name in self._models else []
        states = [state for state in states if wanted in (None, state.version)]
        if not states:
            what = "any versions" if wanted is None else f"version {wanted}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find {what} of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in states:
            entry = response.model_version_status.add()
            entry.version = state.version
            entry.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
            entry.status.error_code, entry.status.error_message = state.code.value[0], state.error
        return response


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


@contextlib.contextmanager
def _servable(models: Models, request: Any) -> Iterator[LoadedVersion]:
    _check_spec(request)
    spec = request.model_spec
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    if spec.name not in models:
        if spec.version_label:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        raise not_found(
            f"Specific({spec.name}, {spec.version.value})" if spec.HasField("version") else f"Latest({spec.name})"
        )
    with models[spec.name].servable(spec) as servable:
        yield servable
