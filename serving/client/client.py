"""A client of TF Serving's gRPC interface, for our request and answer."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import grpc
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model.contract import SIGNATURE_RANK
from serving.client.answer import RankedCandidates, ranked
from serving.client.request import RankRequest, request_inputs
from serving.client.status import VersionState


class RankingError(Exception):
    """A request that the server refused or did not answer.

    Args:
        code: the gRPC status.
        message: what to tell the user.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code


class RankingClient:
    """Ranks candidates on TF Serving or on our development server; use it as a context manager, from any thread.

    Args:
        address: `host:port`.
        model_name: the model's name on the server.
        timeout: seconds for each call.
    """

    def __init__(self, address: str, model_name: str = "lcr_ser", timeout: float = 10.0) -> None:
        self.address = address
        self._model_name = model_name
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address)
        self._inputs: frozenset[str] = frozenset()
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def rank(self, request: RankRequest) -> RankedCandidates:
        """Ranks the candidates of one user.

        Raises:
            RankingError: the server refused or did not answer, or the model could not score the request.
        """
        [answer] = self.rank_batch([request])
        if not answer.scored:
            message = f"version {answer.version} gives user {request.user!r} scores of NaN; serve another version"
            raise RankingError(grpc.StatusCode.FAILED_PRECONDITION, message)
        return answer

    def rank_batch(self, requests: Sequence[RankRequest]) -> list[RankedCandidates]:
        """Ranks for several users in one call; candidates may differ in number.

        A request that the model could not score, its neighbours could: `RankedCandidates.scored` tells them apart.

        Raises:
            ValueError: the requests together are above the limits of `model.contract`; nothing is sent.
            RankingError: the server refused or did not answer.
        """
        if not requests:
            return []
        response = self._predict(request_inputs(requests))
        if missing := {"scores", "ranks"} - response.outputs.keys():
            message = f"signature {SIGNATURE_RANK!r} of {self.address} gives no {sorted(missing)}; push another model"
            raise RankingError(grpc.StatusCode.FAILED_PRECONDITION, message)
        scores, ranks = (tf.make_ndarray(response.outputs[name]) for name in ("scores", "ranks"))
        version = response.model_spec.version.value
        rows = zip(requests, scores, ranks, strict=True)
        return [ranked(request.candidates, score, rank, version) for request, score, rank in rows]

    def _predict(self, inputs: dict[str, npt.NDArray[Any]]) -> Any:
        """Send what the served model reads; where that has changed since it was looked up, once more."""
        while True:
            read = self._inputs or self._read_inputs()
            if missing := sorted(read - inputs.keys()):
                if self._read_inputs() != read:
                    continue
                message = f"the served model reads {missing}: give the time of every click and of every search"
                raise RankingError(grpc.StatusCode.FAILED_PRECONDITION, message)
            call = predict_pb2.PredictRequest()
            call.model_spec.name = self._model_name
            call.model_spec.signature_name = SIGNATURE_RANK
            for name in read:
                call.inputs[name].CopyFrom(tf.make_tensor_proto(inputs[name]))
            try:
                return self._call(self._prediction.Predict, call)
            except RankingError as error:
                if error.code is not grpc.StatusCode.INVALID_ARGUMENT or self._read_inputs() == read:
                    raise

    def _read_inputs(self) -> frozenset[str]:
        """Look up the inputs of the signature `rank`: each kind of model has its own."""
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = self._model_name
        request.metadata_field.append("signature_def")
        response = self._call(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        if SIGNATURE_RANK not in signatures.signature_def:
            message = f"{self.address} has no signature {SIGNATURE_RANK!r}; push another model"
            raise RankingError(grpc.StatusCode.FAILED_PRECONDITION, message)
        self._inputs = frozenset(signatures.signature_def[SIGNATURE_RANK].inputs)
        return self._inputs

    def status(self) -> list[VersionState]:
        """The states of the model's versions, newest first.

        Raises:
            RankingError: the model is unknown, or the server did not answer.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model_name
        names = get_model_status_pb2.ModelVersionStatus.State.Name
        versions = self._call(self._model.GetModelStatus, request).model_version_status
        return [VersionState(v.version, names(v.state), v.status.error_message) for v in versions]

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> "RankingClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                details = f"no answer from {self.address} within {self._timeout} s: {details}. Is the server running?"
            raise RankingError(code, details) from error
