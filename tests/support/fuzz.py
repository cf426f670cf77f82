"""A server under requests that nobody should send; `python -m benchmarks.fuzz` sends thousands.

It starts the development server on loopback as a process of its own, and sends it requests from four threads: a fifth
of them good, the others wrong in ways that are drawn (`tests.support.fuzz_requests`). A fault is

- an answer of INTERNAL or UNKNOWN, none within five minutes, or a server that is gone;
- a row that is refused with another status than INVALID_ARGUMENT;
- a good request, or a good row beside wrong ones, that is not answered as it was before, alone;
- memory of the server that grows above the bound, over what it was after its first answers.

The same seed sends the same requests.
"""

import collections
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import psutil
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tests.support.fuzz_requests import GOOD, PREDICT, RAW, WRONG_ROWS, Attempt, Maker

MODEL_NAME = "lcr_ser"
MAX_GROWTH_MB = 3_000
MAX_SECONDS = 3_600
"""No request is sent after so many."""
_THREADS = 4
_START_SECONDS = 120
_ANSWER_SECONDS = 300
_SAMPLE_SECONDS = 0.01
_FAULTS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)
_MEGABYTE = 1e6


class Outcome:
    """What a fuzz has seen: answers by signature, kind and status, faults, and the server's memory in MB."""

    def __init__(self) -> None:
        self.answers: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.faults: list[str] = []
        self.start_mb = self.peak_mb = 0.0

    @property
    def growth_mb(self) -> float:
        """The largest memory over that at the start."""
        return self.peak_mb - self.start_mb


def fuzz(model_dir: Path, requests: int, seed: int, max_growth_mb: float, log: Path) -> Outcome:
    """Starts a server, sends it the requests of a seed, stops it.

    Args:
        model_dir: directory of numeric version directories; the newest answers.
        requests: how many.
        seed: of the requests.
        max_growth_mb: that the server's memory may grow by.
        log: file that the server writes to.
    """
    outcome = Outcome()
    with (
        _server(model_dir, log) as (process, address),
        grpc.insecure_channel(
            address, [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        version, signatures = _metadata(channel)
        session = _Session(channel, address, Maker(MODEL_NAME, signatures, model_dir / str(version), seed), outcome)
        session.ask_golden()
        with _sampled(process, outcome), ThreadPoolExecutor(_THREADS) as pool:
            end = time.monotonic() + MAX_SECONDS
            for _ in pool.map(lambda number: session.ask(number, end), range(requests)):
                pass
        session.check_golden()
        if process.poll() is not None:
            outcome.faults.append(f"the server ended with {process.returncode}")
    if outcome.growth_mb > max_growth_mb:
        outcome.faults.append(f"the server's memory grew by {outcome.growth_mb:,.0f} MB > {max_growth_mb:,.0f}")
    return outcome


class _Session:
    """Sends attempts and judges the answers, from any thread."""

    def __init__(self, channel: grpc.Channel, address: str, maker: Maker, outcome: Outcome) -> None:
        self._channel, self._address, self._maker, self._outcome = channel, address, maker, outcome
        self._answers: dict[str, list[dict[str, npt.NDArray[Any]]]] = {}

    def ask_golden(self) -> None:
        """Asks about each golden row alone: what it is answered must not change."""
        for signature, rows in self._maker.golden.items():
            self._answers[signature] = [self._answer(signature, row) for row in rows]

    def check_golden(self) -> None:
        """Asks again after all the others."""
        for signature, answers in self._answers.items():
            for number, answer in enumerate(answers):
                try:
                    again = self._answer(signature, self._maker.golden[signature][number])
                except grpc.RpcError as error:
                    self._outcome.faults.append(f"after all: {signature}: {error.code().name}: {error.details()}")
                    continue
                if any(not np.array_equal(again[name], value, equal_nan=True) for name, value in answer.items()):
                    self._outcome.faults.append(f"after all: {signature} answers golden row {number} differently")

    def ask(self, number: int, end: float) -> None:
        """Sends one attempt, unless the time is over, and notes the answer."""
        if time.monotonic() > end:
            self._note(Attempt("", "", b""), "NOT SENT", f"{number}: {MAX_SECONDS} s are over")
            return
        attempt = self._maker.attempt(number)
        name = f"{number}: {attempt.signature}, {attempt.kind}"
        if attempt.method == RAW:
            self._note(attempt, self._send_raw(attempt.data))
            return
        try:
            data = self._channel.unary_unary(attempt.method)(attempt.data, timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            refused_row = attempt.kind == WRONG_ROWS and error.code() is not grpc.StatusCode.INVALID_ARGUMENT
            bad = error.code() in _FAULTS or attempt.kind == GOOD or refused_row
            self._note(attempt, error.code().name, f"{name}: {error.code().name}: {error.details()}" if bad else None)
            return
        wrong = self._wrong_rows(attempt, data) if attempt.golden else []
        self._note(attempt, "OK", f"{name}: rows {wrong} are not answered as they are alone" if wrong else None)

    def _answer(self, signature: str, row: Any) -> dict[str, npt.NDArray[Any]]:
        data = self._maker.call(signature, [row]).SerializeToString()
        return _outputs(self._channel.unary_unary(PREDICT)(data, timeout=_ANSWER_SECONDS))

    def _wrong_rows(self, attempt: Attempt, data: bytes) -> list[int]:
        """Rows of a call that differ from the golden answer: not at all in a call alone, else by rounding at most."""
        outputs, alone = _outputs(data), attempt.kind == GOOD
        return [
            row
            for row, golden in attempt.golden.items()
            if not all(
                _equal(outputs[name][row], value[0], alone)
                for name, value in self._answers[attempt.signature][golden].items()
            )
        ]

    def _send_raw(self, data: bytes) -> str:
        host, port = self._address.rsplit(":", 1)
        with contextlib.suppress(ConnectionError), socket.create_connection((host, int(port)), timeout=5) as opened:
            opened.sendall(data)
        return "no gRPC"

    def _note(self, attempt: Attempt, status: str, fault: str | None = None) -> None:
        self._outcome.answers[attempt.signature, attempt.kind, status] += 1
        if fault:
            self._outcome.faults.append(fault)


def _equal(value: npt.NDArray[Any], golden: npt.NDArray[Any], alone: bool) -> bool:
    """Whether a row is as it was; a longer row beside it may have padded it."""
    value = value[tuple(slice(size) for size in golden.shape)]
    if alone:
        return np.array_equal(value, golden, equal_nan=True)
    return value.shape == golden.shape and np.allclose(value, golden, 1e-6, 1e-6, equal_nan=True)


def _outputs(data: bytes) -> dict[str, npt.NDArray[Any]]:
    outputs = predict_pb2.PredictResponse.FromString(data).outputs
    return {name: tf.make_ndarray(proto) for name, proto in outputs.items()}


def _metadata(channel: grpc.Channel) -> tuple[int, dict[str, Any]]:
    """The version that answers, and its SignatureDefs by name."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = MODEL_NAME
    method = "/tensorflow.serving.PredictionService/GetModelMetadata"
    data = channel.unary_unary(method)(request.SerializeToString(), timeout=_ANSWER_SECONDS)
    response = get_model_metadata_pb2.GetModelMetadataResponse.FromString(data)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    served = {name: definition for name, definition in signatures.signature_def.items() if definition.inputs}
    return response.model_spec.version.value, served


@contextlib.contextmanager
def _server(model_dir: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's process and its address, once a version is ready."""
    command = [
        sys.executable,
        "-m",
        "serving.dev_server",
        "--model_dir",
        str(model_dir),
        "--model_name",
        MODEL_NAME,
        "--port",
        "0",
    ]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        limit = threading.Timer(_START_SECONDS, process.kill)
        limit.start()
        try:
            ready = next((line for line in process.stdout or () if line.startswith("ready")), None)
            limit.cancel()
            if ready is None:
                raise RuntimeError(f"No version of {model_dir} was ready within {_START_SECONDS} s; see {log}.")
            yield process, ready.split()[-1]
        finally:
            limit.cancel()
            process.terminate()


@contextlib.contextmanager
def _sampled(process: subprocess.Popen[str], outcome: Outcome) -> Iterator[None]:
    """Notes the memory of the server, now and at the most."""
    server, stop = psutil.Process(process.pid), threading.Event()
    outcome.start_mb = outcome.peak_mb = server.memory_info().rss / _MEGABYTE

    def sample() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            with contextlib.suppress(psutil.NoSuchProcess):
                outcome.peak_mb = max(outcome.peak_mb, server.memory_info().rss / _MEGABYTE)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
