"""One loaded version of a model."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from model.contract import SIGNATURE_DEFAULT
from serving.dev_server.errors import RequestError, refusal, trimmed
from serving.dev_server.tensors import decode_inputs

_CLIENT_MISTAKES = (
    tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.DataLossError, UnicodeDecodeError,
)  # fmt: skip


class LoadedVersion:
    """A SavedModel, loaded and called once, so that the first client does not wait for the graph to be built.

    Args:
        path: the version's folder.
        version: its number.
        required: signatures without which the version is refused.

    Raises:
        ValueError: a required signature is missing.
    """

    def __init__(self, path: Path, version: int, required: Collection[str] = ()) -> None:
        self.version = version
        self._model = tf.saved_model.load(str(path))  # owns the variables: they live as long as this reference
        self._signatures: dict[str, Any] = dict(self._model.signatures)
        missing = sorted(set(required) - self._signatures.keys())
        if missing:
            raise ValueError(f"version {version} lacks the signatures {missing}; it has {sorted(self._signatures)}")
        self.signature_defs = _signature_defs(path)
        for name in self._signatures:
            self._warm_up(name)
        self._replay(path / "assets.extra" / "tf_serving_warmup_requests")

    def call(
        self, signature: str, inputs: Mapping[str, Any], outputs: Collection[str] = ()
    ) -> dict[str, npt.NDArray[Any]]:
        """Answers one request.

        Args:
            signature: its name.
            inputs: input name -> `TensorProto`.
            outputs: the outputs to return; all if empty.

        Returns:
            output name -> array.

        Raises:
            RequestError: the request does not fit the signature, or the graph refuses it.
        """
        function = self._signatures.get(signature)
        if function is None:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"signature {signature!r} not found in version {self.version}; it has {sorted(self._signatures)}",
            )
        unknown = sorted(set(outputs) - set(function.structured_outputs))
        if unknown:
            raise RequestError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"unknown outputs {unknown}; the signature gives {sorted(function.structured_outputs)}",
            )
        tensors = decode_inputs(function.structured_input_signature[1], inputs)
        try:
            results = function(**tensors)
        except _CLIENT_MISTAKES as error:
            message = refusal(error) or f"the graph refuses the inputs {sorted(tensors)}: {trimmed(error)}"
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, message) from error
        except tf.errors.ResourceExhaustedError as error:
            raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, trimmed(error)) from error
        return {name: results[name].numpy() for name in outputs or results}

    def _warm_up(self, signature: str) -> None:
        """Run a signature on empty values. It may refuse them: the graph was built all the same."""
        function = self._signatures[signature]
        inputs = {
            name: tf.make_tensor_proto(_empty(spec), dtype=spec.dtype)
            for name, spec in function.structured_input_signature[1].items()
        }
        try:
            self.call(signature, inputs)
        except RequestError as error:
            if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
                raise

    def _replay(self, file: Path) -> None:
        """Answers the requests that were recorded with the version, as TF Serving does; all must succeed."""
        records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator() if file.exists() else ()
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.call(request.model_spec.signature_name or SIGNATURE_DEFAULT, request.inputs)


def _empty(spec: Any) -> npt.NDArray[Any]:
    shape = [1 if size is None else size for size in (spec.shape.as_list() if spec.shape.rank is not None else [1])]
    return np.full(shape, b"", dtype=object) if spec.dtype == tf.string else np.zeros(shape, spec.dtype.as_numpy_dtype)


def _signature_defs(path: Path) -> dict[str, Any]:
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    return {name: definition for graph in saved.meta_graphs for name, definition in graph.signature_def.items()}
