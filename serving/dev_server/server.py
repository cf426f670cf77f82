"""A development server with TF Serving's gRPC interface: `python -m serving.dev_server.server --model_dir DIR`.

It has no encryption and no authentication, so it listens on loopback unless told otherwise. In production the same
directory is given to TF Serving.
"""

import logging
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.dev_server.manager import ModelManager
from serving.dev_server.services import Answers, ModelService, PredictionService
from serving.limits import MAX_MESSAGE_BYTES

_LOGGER = logging.getLogger(__name__)
POLL_SECONDS = 1.0
LOOPBACK = "127.0.0.1"
_GRACE_SECONDS = 5.0
_WORKERS = 4
"""Calls that are computed at a time. Each may take as much memory as the limits of `model.contract` let it."""
_CONCURRENT_REQUESTS = 256
"""More are refused at once with RESOURCE_EXHAUSTED: a queue that only grows helps nobody."""


class RankingServer:
    """Serves the newest version in a directory; use it as a context manager.

    Args:
        model_dir: directory of numeric version directories with SavedModels.
        model_name: the model's name in requests.
        port: 0 chooses a free one.
        host: the address to listen on.
        poll_seconds: how often the directory is looked at.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, model_dir: Path, model_name: str = "lcr_ser", port: int = 0, host: str = LOOPBACK,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:  # fmt: skip
        self.manager = ModelManager(model_name, model_dir)
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="versions", daemon=True)
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS),
            interceptors=[Answers()],
            maximum_concurrent_rpcs=_CONCURRENT_REQUESTS,
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self.manager), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.manager), self._server)
        try:
            self._port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{port}: {error}. Choose another port.") from error
        self.address = f"{host}:{self._port}"

    def __enter__(self) -> "RankingServer":
        self._server.start()
        self._poller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Refuses new requests, lets the running ones finish, stops following the directory."""
        self._stopping.set()
        self._server.stop(_GRACE_SECONDS).wait()
        self._poller.join()

    def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                self.manager.refresh()
            except OSError:  # the directory changes under our eyes, or the disk hiccups: the next look may succeed
                _LOGGER.exception("the versions of %s cannot be listed", self.manager.name)
            self._stopping.wait(self._poll_seconds)


@click.command()
@click.option(
    "--model_dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of numeric version directories, as the Pusher writes it.",
)
@click.option("--model_name", default="lcr_ser", show_default=True, help="The model's name in requests.")
@click.option("--port", default=8500, show_default=True, help="0 chooses a free one.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Any other is open to all who reach it.")
def main(model_dir: Path, model_name: str, port: int, host: str) -> None:
    """Serve the newest pushed version until SIGINT or SIGTERM."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    try:
        server = RankingServer(model_dir, model_name, port, host)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    with server:
        shown: list[object] = []
        while not stop.wait(0.2):
            states = list(server.manager.states())
            if states != shown or not shown:
                shown = _report(server, states, shown)


def _report(server: RankingServer, states: list[Any], shown: list[object]) -> list[object]:
    """Print each change of a version's state, in one line."""
    if not states:
        click.echo(f"waiting for a version of {server.manager.name} on {server.address}")
        return [None]
    for state in states:
        if state not in shown and state.state == "AVAILABLE":
            click.echo(f"ready: {server.manager.name} version {state.version} on {server.address}")
        if state not in shown and state.error:
            click.echo(f"version {state.version} is not served: {state.error}", err=True)
    return list(states)


if __name__ == "__main__":
    main()
