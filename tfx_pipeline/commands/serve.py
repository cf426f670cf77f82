"""`lcr-ser serve`: the pushed model on this machine, by the best server that is there."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from components.pusher.layout import live_versions
from serving.cpus import usable_cpus
from tfx_pipeline.commands.command import Command
from tfx_pipeline.console import quiet
from tfx_pipeline.settings import REPOSITORY, load

BINARY = "tensorflow_model_server"
IMAGE = "tensorflow/serving:2.16.1"
_DEPLOY = REPOSITORY / "serving" / "deploy"
_LOOPBACK = "127.0.0.1"
_CONTAINERS_OWN = (
    "--grpc_socket_path",
    "--model_config_file",
    "--model_config_file_poll_wait_seconds",
    "--allow_version_labels_for_unavailable_models",
)
"""Flags of the container in production, where a proxy stands before TF Serving and versions have labels."""
_LOOK_SECONDS = 0.2
_END_SECONDS = 20.0
"""For a server to finish its calls once it is told to end."""


class Wanted(NamedTuple):
    """What is to be served: versions in `model_dir`, under its name; `rest_port` 0 stands for none."""

    model_dir: Path
    port: int
    rest_port: int
    batching: bool

    @property
    def name(self) -> str:
        """The model's name in requests."""
        return self.model_dir.name


class Server(NamedTuple):
    """A server that can be started, what it is, and what a user should know of it."""

    title: str
    command: list[str]
    note: str


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65_535), default=8500, show_default=True, help="Of gRPC; 0: a free one.")
@click.option(
    "--rest_port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Of metrics, and of REST where the server has it; none unless given.",
)
@click.option(
    "--model_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of versions; default: that of the settings. The model is called as the directory.",
)
@click.option("--batching/--no-batching", default=True, show_default=True, help="Merge calls, where the server can.")
@click.option("--image", default=IMAGE, show_default=True, envvar="TF_SERVING_IMAGE", help="For Docker.")
def serve(*, port: int, rest_port: int, model_dir: Path | None, batching: bool, image: str) -> None:
    """Serve the pushed model on this machine until SIGINT: by TF Serving, by its image, or by our development server.

    For production see docs/serving.md: there is neither TLS nor a token here.
    """
    settings = load()
    quiet.set_environment()
    model_dir = (model_dir or settings.serving_dir).resolve()
    if not live_versions(model_dir):
        raise click.ClickException(f"{model_dir} holds no pushed model. Run `make run` first.")
    wanted = Wanted(model_dir, _free(port), _free(rest_port) if rest_port else 0, batching)
    log_file = settings.run_dir / "logs" / "serve.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lcr-ser-serve-") as folder:
        server = _choose(wanted, Path(folder), image)
        click.echo(f"server          {server.title}")
        click.echo(f"                {server.note}")
        click.echo(f"full output     {log_file}")
        with _until_told(), _running(server.command, log_file) as process:
            _report(process, wanted, log_file)
    click.echo("ended")


def _choose(wanted: Wanted, folder: Path, image: str) -> Server:
    """The first server that is there."""
    cpus = usable_cpus()
    batching = folder / "batching.config"
    batching.write_text(batching_config(cpus))
    batching.chmod(0o644)
    folder.chmod(0o755)  # a container's user reads it, too
    if binary := shutil.which(BINARY):
        flags = server_flags(wanted, cpus, batching, _DEPLOY / "monitoring.config")
        note = "it listens on all addresses of this machine (it knows no other way), without TLS or token"
        return Server(f"TensorFlow Serving, {binary}", [binary, *flags], note)
    click.echo(f"no {BINARY} is on the PATH")
    if (missing := _missing_image(image)) is None:
        command = docker_command(wanted, cpus, batching, image)
        return Server(f"TensorFlow Serving, {image} in Docker", command, "on loopback, without TLS or token")
    click.echo(f"no Docker with {image}: {missing}")
    note = "it merges no calls and has no REST; to serve, use TF Serving (docs/serving.md)"
    return Server("the development server, for a first look", development_command(wanted), note)


def batching_config(cpus: int) -> str:
    """TF Serving's file of batching parameters, as `serving/deploy/start` writes it: threads, and batches that wait."""
    fixed = (_DEPLOY / "batching.config").read_text()
    return f"{fixed}num_batch_threads {{ value: {cpus} }}\nmax_enqueued_batches {{ value: {2 * cpus} }}\n"


def server_flags(wanted: Wanted, cpus: int, batching: Path, monitoring: Path) -> list[str]:
    """Flags of TF Serving: those of production, but for ports and for what is served.

    Args:
        wanted: what to serve, and where.
        cpus: that it may use.
        batching: file of batching parameters.
        monitoring: file of monitoring parameters.
    """
    lines = subprocess.run(  # noqa: S603 - ours
        [_DEPLOY / "start", "flags", str(cpus)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    flags = dict(line.split("=", 1) for line in lines)
    for name in _CONTAINERS_OWN:
        del flags[name]
    flags |= {
        "--port": str(wanted.port),
        "--rest_api_port": str(wanted.rest_port),
        "--model_name": wanted.name,
        "--model_base_path": str(wanted.model_dir),
        "--batching_parameters_file": str(batching),
        "--monitoring_config_file": str(monitoring),
    }
    if not wanted.batching:
        del flags["--enable_batching"], flags["--batching_parameters_file"]
    return [f"{name}={value}" for name, value in flags.items()]


def docker_command(wanted: Wanted, cpus: int, batching: Path, image: str) -> list[str]:
    """Run TF Serving's image with its ports on loopback and the versions read-only."""
    inside = wanted._replace(model_dir=Path("/models", wanted.name), port=8500, rest_port=8501)
    files = {wanted.model_dir: inside.model_dir, batching: "/batching.config"}
    files[_DEPLOY / "monitoring.config"] = "/monitoring.config"
    ports = [f"{_LOOPBACK}:{wanted.port}:8500"]
    ports += [f"{_LOOPBACK}:{wanted.rest_port}:8501"] if wanted.rest_port else []
    return [
        "docker", "run", "--rm", "--init", "--env=TF_ENABLE_ONEDNN_OPTS=0",
        *(f"--publish={port}" for port in ports),
        *(f"--mount=type=bind,source={ours},target={theirs},readonly" for ours, theirs in files.items()),
        f"--entrypoint={BINARY}", image,
        *server_flags(inside, cpus, Path("/batching.config"), Path("/monitoring.config")),
    ]  # fmt: skip


def development_command(wanted: Wanted) -> list[str]:
    """Run our own server."""
    rest = [f"--rest_api_port={wanted.rest_port}"] if wanted.rest_port else []
    paths = [f"--model_base_path={wanted.model_dir}", f"--model_name={wanted.name}", f"--port={wanted.port}"]
    return [sys.executable, "-m", "serving.dev_server", *paths, *rest]


def _missing_image(image: str) -> str | None:
    """Why Docker cannot run the image; None where it is there, pulled if need be."""
    if shutil.which("docker") is None:
        return "no `docker` is on the PATH"
    for command in (["info"], ["image", "inspect", image], ["pull", image]):
        done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)  # noqa: S603, S607
        if done.returncode == 0 and command != ["info"]:
            return None
        if done.returncode and command[0] != "image":
            break
        if command[0] == "image":
            click.echo(f"pulling {image}")
    return (done.stderr.strip().splitlines() or [f"`docker {command[0]}` failed"])[-1]


def _free(port: int) -> int:
    """The port, or a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            raise click.ClickException(f"port {port} of {_LOOPBACK}: {error.strerror}. Give another one.") from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _until_told() -> Iterator[None]:
    """Ends what is inside at SIGINT or SIGTERM, as at its own end."""

    def told(number: int, frame: object) -> None:
        for one in (signal.SIGINT, signal.SIGTERM):  # once is enough: the server is being ended
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _running(command: list[str], log_file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The server's process, which is told to end at the end. The terminal's SIGINT is ours alone."""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - ours
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _report(process: "subprocess.Popen[bytes]", wanted: Wanted, log_file: Path) -> None:
    """Tell each version that begins to answer, or cannot, until the server ends.

    Raises:
        click.ClickException: it ended by itself.
    """
    from serving.client.client import RankingClient
    from serving.client.exchange import RankingError
    from serving.client.status import VersionState

    address, shown, ready = f"{_LOOPBACK}:{wanted.port}", set[VersionState](), False
    with RankingClient(address, wanted.name, 5.0) as client:
        while process.poll() is None:
            states: list[VersionState] = []
            with contextlib.suppress(RankingError):
                states = client.status()
            for state in states:
                if state not in shown and state.state == "AVAILABLE":
                    click.echo(f"ready           version {state.version} of {wanted.name} at {address}")
                    if not ready:
                        _show_next(address, wanted.name)
                    ready = True
                elif state not in shown and state.error:
                    click.echo(f"not served      version {state.version}: {state.error}", err=True)
                shown.add(state)
            time.sleep(_LOOK_SECONDS)
    last = (log_file.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    raise click.ClickException(f"the server ended with {process.returncode}: {last}. Read {log_file}.")


def _show_next(address: str, name: str) -> None:
    example = f"{shlex.quote(sys.executable)} {shlex.quote(str(REPOSITORY / 'examples' / 'rank.py'))}"
    click.echo(f"next            {example} {address} {shlex.quote(name)}")
    click.echo(f"                lcr-ser loadtest {address} --model_name {shlex.quote(name)}")
