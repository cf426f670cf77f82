"""One loaded version of a model, in a session of its own, as TF Serving runs it."""

import contextlib
import ctypes
import gc
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model.contract import SIGNATURE_DEFAULT, SIGNATURE_SCORE
from serving.dev_server.errors import RequestError, invalid, of_tensorflow
from serving.dev_server.metrics import RUNTIME_LATENCY, WARM_UP_LATENCY, Metrics
from serving.dev_server.tensors import decode_inputs, encode, joined
from serving.manifest import find_damage

_WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")
_MOST_RECORDS = 1_000
"""Warm-up requests of a version, as TF Serving bounds them."""


class LoadedVersion:
    """A SavedModel in a session of its own graph, whose warm-up requests were answered.

    Args:
        path: the version's folder.
        name: the model's.
        version: its number.
        required: signatures without which the version is refused.
        threads: of the session, within an operation and between them; 0 leaves it to TensorFlow.
        metrics: where the time in the session is counted.

    Raises:
        RequestError: files are not as the manifest says, a required signature is missing, TensorFlow cannot load it, or
            a warm-up request is refused or gets scores that are not finite. The memory is given back.
    """

    def __init__(
        self, path: Path, name: str, version: int, required: Collection[str] = (), *, threads: int = 0,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self.name, self.version = name, version
        self._metrics = metrics or Metrics()
        self._callables: dict[str, Callable[..., Any]] = {}
        self._idle = threading.Condition()
        self._calls = 0
        if damage := find_damage(path):
            raise RequestError(grpc.StatusCode.DATA_LOSS, f"{path} is not as its manifest says: {'; '.join(damage)}")
        config = config_pb2.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            self.signature_defs = self._load(path, required)
            started = time.perf_counter()
            self._warm_up(path)
            took = time.perf_counter() - started
            self._metrics.observe(WARM_UP_LATENCY, took, model_path=str(path), status="OK")
            _give_back()
        except Exception as error:
            failure = of_tensorflow(error)
            error.__traceback__ = None  # its frames hold the graph
            self.close()
            raise failure from None

    def predict(self, request: Any) -> Any:
        """Answers a PredictRequest.

        Raises:
            RequestError: the request does not fit the signature, or the graph refuses it.
        """
        name = request.model_spec.signature_name or SIGNATURE_DEFAULT
        signature = self.signature_defs.get(name)
        if signature is None:
            message = f'Serving signature key "{name}" not found.'
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, message)
        arrays = decode_inputs(signature.inputs, request.inputs)
        wanted = _wanted(signature, request.output_filter)
        results = self.run(name, arrays)
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = request.model_spec.name, name
        response.model_spec.version.value = self.version
        for alias in wanted:
            response.outputs[alias].CopyFrom(encode(results[alias]))
        return response

    @contextlib.contextmanager
    def held(self) -> Iterator["LoadedVersion"]:
        """Keeps the session open for a call."""
        with self._idle:
            self._calls += 1
        try:
            yield self
        finally:
            with self._idle:
                self._calls -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Waits for the calls that hold it, then gives the memory back to the system."""
        with self._idle:
            self._idle.wait_for(lambda: self._calls == 0)
        self._callables.clear()
        self._session.close()
        del self._session
        gc.collect()  # the objects of a graph know each other
        _give_back()

    def _load(self, path: Path, required: Collection[str]) -> dict[str, Any]:
        with self._session.graph.as_default():
            graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        signatures = dict(graph.signature_def)
        if missing := set(required) - signatures.keys():
            message = f"version {self.version} lacks the signatures {joined(missing)}; it has {joined(signatures)}"
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, message)
        return signatures

    def run(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """All outputs of a signature: for each set of outputs that a session is asked for it would plan anew.

        Raises:
            RequestError: the graph refuses the inputs.
        """
        signature = self.signature_defs[name]
        started = time.perf_counter()
        try:
            if name not in self._callables:
                self._callables[name] = self._session._make_callable_from_options(_options(signature))
            results = self._callables[name](*(arrays[alias] for alias in sorted(signature.inputs)))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise of_tensorflow(error) from None
        self._metrics.observe(
            RUNTIME_LATENCY, time.perf_counter() - started,
            model_name=self.name, API="Predict", runtime="TF1",
        )  # fmt: skip
        return dict(zip(sorted(signature.outputs), results, strict=True))

    def _warm_up(self, path: Path) -> None:
        """Answers the requests that lie with the version, several signatures at a time."""
        by_signature: dict[str, list[Any]] = {}
        for request in recorded(path):
            by_signature.setdefault(request.model_spec.signature_name, []).append(request)
        with ThreadPoolExecutor(len(by_signature) or 1) as pool:
            for _ in pool.map(self._answer_recorded, by_signature.values()):
                pass

    def _answer_recorded(self, requests: Iterable[Any]) -> None:
        """Their scores must be finite, but for those of `score`: a state that was made up is no state of this model."""
        for request in requests:
            outputs, signature = self.predict(request).outputs, request.model_spec.signature_name
            scores = outputs["scores"].float_val if "scores" in outputs else ()
            if signature != SIGNATURE_SCORE and not np.isfinite(scores).all():
                raise RequestError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"version {self.version}: {signature!r} gives a warm-up request scores that are not finite",
                )


def recorded(version_dir: Path) -> list[Any]:
    """The PredictRequests of a version's warm-up file; none without one.

    Raises:
        RequestError: INVALID_ARGUMENT, for too many or other logs.
    """
    file = version_dir / _WARM_UP
    if not file.exists():
        return []
    records = itertools.islice(tf.compat.v1.io.tf_record_iterator(str(file)), _MOST_RECORDS + 1)
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    if len(logs) > _MOST_RECORDS or not all(log.HasField("predict_log") for log in logs):
        raise invalid(f"{file} should hold at most {_MOST_RECORDS} logs, of Predict alone")
    return [log.predict_log.request for log in logs]


def _give_back() -> None:
    """Free memory to the system: the C library keeps what loading and planning took, hundreds of megabytes."""
    ctypes.CDLL(None).malloc_trim(0)


def _wanted(signature: Any, chosen: Collection[str]) -> Collection[str]:
    """The outputs to return; all if none is chosen."""
    seen: set[str] = set()
    for alias in chosen:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {joined(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return seen or list(signature.outputs)


def _options(signature: Any) -> Any:
    return config_pb2.CallableOptions(
        feed=[signature.inputs[alias].name for alias in sorted(signature.inputs)],
        fetch=[signature.outputs[alias].name for alias in sorted(signature.outputs)],
    )
