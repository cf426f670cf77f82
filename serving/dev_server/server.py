"""A development server with TF Serving's gRPC interface: `python -m serving.dev_server --model_base_path DIR`.

It has no encryption and no authentication, so it listens on loopback unless told otherwise. In production the same
directory is given to TF Serving.
"""

import contextlib
import http.server
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import grpc
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.cpus import usable_cpus
from serving.dev_server.config import ModelConfig, read_config
from serving.dev_server.manager import ModelManager, VersionState
from serving.dev_server.metrics import Metrics
from serving.dev_server.service_files import describe_services
from serving.dev_server.services import Answers, ModelService, PredictionService
from serving.dev_server.turns import Turns
from serving.limits import MAX_MESSAGE_BYTES

_LOGGER = logging.getLogger(__name__)
POLL_SECONDS = 1.0
LOOPBACK = "127.0.0.1"
METRICS_PATH = "/monitoring/prometheus/metrics"
FIRST_LINE = "This is the development server, for a first look and for tests. To serve, use TF Serving."
_GRACE_SECONDS, _LAST_SECONDS = 8.0, 0.5
"""For accepted calls to be computed, and for their answers to be sent, once the server is told to stop."""
_SWITCH_SECONDS = 0.001
"""After which a thread lets another one run Python: a refusal should not wait for several threads, 5 ms each."""
_WAITING = 32
"""Calls that wait for their turn; more are refused at once with RESOURCE_EXHAUSTED."""
_OTHER_CALLS = 32
"""Calls besides that gRPC has a thread for: refusals, states, health, reflection."""


class DevServer:
    """Serves models; use it as a context manager.

    Args:
        configs: the models.
        port: 0 chooses a free one.
        host: the address to listen on.
        rest_port: of Prometheus's metrics; 0 chooses a free one, None for no metrics.
        poll_seconds: how often the directories are looked at.
        threads: of TensorFlow, and calls that are computed at a time.

    Raises:
        OSError: a port is taken.
    """

    def __init__(
        self, configs: Sequence[ModelConfig], *, port: int = 0, host: str = LOOPBACK, rest_port: int | None = None,
        poll_seconds: float = POLL_SECONDS, threads: int | None = None,
    ) -> None:  # fmt: skip
        threads = threads or usable_cpus()
        self.metrics = Metrics()
        self.managers = {config.name: ModelManager(config, threads=threads, metrics=self.metrics) for config in configs}
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="versions", daemon=True)
        self._turns = Turns(threads, _WAITING)
        self._health = health.HealthServicer()
        held = threads + _WAITING + _OTHER_CALLS
        self._server = grpc.server(
            ThreadPoolExecutor(held),
            interceptors=[Answers(self._turns)],
            maximum_concurrent_rpcs=held,
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
        )
        self._add_services()
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{port}: {error}. Choose another port.") from error
        self.address = f"{host}:{self.port}"
        self._http = None if rest_port is None else _http_server(host, rest_port, self.metrics)
        self.rest_address = f"{host}:{self._http.server_port}" if self._http else None

    def __enter__(self) -> "DevServer":
        self._server.start()
        self._poller.start()
        if self._http:
            threading.Thread(target=self._http.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drains, stops following the directories, and gives the models' memory back."""
        self.drain()
        self._poller.join()
        for manager in self.managers.values():
            manager.close()

    @property
    def ready(self) -> bool:
        """Whether a version of each model answers."""
        return all(_available(manager.states()) for manager in self.managers.values())

    def drain(self) -> None:
        """Says NOT_SERVING, refuses new calls, and lets those that were accepted finish, for some seconds."""
        self._stopping.set()
        self._health.enter_graceful_shutdown()
        self._turns.close(_GRACE_SECONDS)
        self._server.stop(_LAST_SECONDS).wait()
        if self._http:
            self._http.shutdown()
            self._http.server_close()

    def _add_services(self) -> None:
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self.managers, self.metrics), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.managers), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*describe_services(), health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server)
        self._tell_health()

    def _tell_health(self) -> None:
        """Under the names that TF Serving uses, and for all."""
        states = health_pb2.HealthCheckResponse
        for name in ("", "PredictionService", "ModelService"):
            self._health.set(name, states.SERVING if self.ready else states.NOT_SERVING)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            for manager in self.managers.values():
                try:
                    manager.refresh()
                except OSError:  # the directory changes under our eyes, or the disk hiccups: the next look may succeed
                    _LOGGER.exception("the versions of %s cannot be listed", manager.config.name)
            self._tell_health()
            self._stopping.wait(self._poll_seconds)


class RankingServer(DevServer):
    """Serves the newest version of one model; `options` are those of DevServer.

    Args:
        model_dir: directory of numeric version directories with SavedModels.
        model_name: the model's name in requests.
    """

    def __init__(self, model_dir: Path, model_name: str = "lcr_ser", **options: Any) -> None:
        super().__init__([ModelConfig(model_name, model_dir)], **options)
        self.manager = self.managers[model_name]

    def __enter__(self) -> "RankingServer":
        super().__enter__()
        return self


def _available(states: Sequence[VersionState]) -> bool:
    return any(state.state == "AVAILABLE" for state in states)


def _http_server(host: str, port: int, metrics: Metrics) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != METRICS_PATH:
                return self.send_error(404, f"only {METRICS_PATH} is here; for REST use TF Serving")
            body = metrics.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """A line for each scrape tells nobody anything."""

    return http.server.ThreadingHTTPServer((host, port), Handler)


@click.command()
@click.option(
    "--model_base_path", "--model_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of numeric version directories, as the Pusher writes it.",
)  # fmt: skip
@click.option("--model_name", default="lcr_ser", show_default=True, help="The model's name in requests.")
@click.option(
    "--model_config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Several models, versions and labels: a ModelServerConfig as TF Serving reads it.",
)
@click.option("--port", default=8500, show_default=True, help="0 chooses a free one.")
@click.option("--rest_api_port", type=int, help=f"Of {METRICS_PATH}; none if not given.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Any other is open to all who reach it.")
@click.option("--threads", type=click.IntRange(1), help="Of TensorFlow; the CPUs that this container may use.")
@click.option("--file_system_poll_wait_seconds", default=POLL_SECONDS, show_default=True, help="Between two looks.")
def main(
    *,
    model_base_path: Path | None, model_name: str, model_config_file: Path | None, port: int, rest_api_port: int | None,
    host: str, threads: int | None, file_system_poll_wait_seconds: float,
) -> None:  # fmt: skip
    """Serve pushed versions until SIGINT or SIGTERM. For a first look and for tests: to serve, use TF Serving."""
    click.echo(FIRST_LINE)
    if (model_base_path is None) == (model_config_file is None):
        raise click.UsageError("give one of --model_base_path and --model_config_file")
    sys.setswitchinterval(_SWITCH_SECONDS)
    tf.get_logger().setLevel("ERROR")  # the way that TF Serving loads is deprecated in Python
    try:
        configs = read_config(model_config_file) if model_config_file else []
        if model_base_path:
            configs = [ModelConfig(model_name, model_base_path)]
        server = DevServer(
            configs, port=port, host=host, rest_port=rest_api_port, threads=threads,
            poll_seconds=file_system_poll_wait_seconds,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    with _until_signalled() as stop, contextlib.ExitStack() as stack:
        server.__enter__()
        stack.callback(server.drain)
        shown: dict[str, list[VersionState]] = {}
        while not stop.wait(0.2):
            for name, manager in server.managers.items():
                shown[name] = _report(server, name, manager.states(), shown.get(name))
    sys.stdout.flush()
    os._exit(0)  # nothing waits for a version that is being loaded


@contextlib.contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    stop = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    yield stop


def _report(
    server: DevServer, name: str, states: list[VersionState], shown: list[VersionState] | None
) -> list[VersionState]:
    """Print each change of a version's state, in one line."""
    if not states and shown is None:
        click.echo(f"waiting for a version of {name} on {server.address}")
    for state in states:
        if state not in (shown or ()) and state.state == "AVAILABLE":
            click.echo(f"ready: {name} version {state.version} on {server.address}")
        if state not in (shown or ()) and state.error:
            click.echo(f"{name}: version {state.version} is not served: {state.error}", err=True)
    return states


if __name__ == "__main__":
    main()
