"""TensorFlow Serving as it is deployed: a process behind `serving/deploy/start`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from serving.client import RankingClient, RankingError

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "serving" / "deploy"
BINARY = shutil.which("tensorflow_model_server")
MISSING = "no tensorflow_model_server is on the PATH, and no image of it can be pulled here"
NAME = "lcr"
READING_WHAT_MODES_FORBID = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Before a command of root: files without read permission are none to it."""


@contextlib.contextmanager
def behind_start(
    pushed: Path, folder: Path, before: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], str, dict[str, str]]]:
    """TF Serving as it is deployed, behind `serving/deploy/start`, of the versions that were pushed.

    Gives the process of `start`, the address of gRPC, and the environment that `ready` wants.
    """
    for name in ("run", "bin", "config"):
        (folder / name).mkdir()
    for name in ("models.config", "batching.config", "monitoring.config"):
        text = (DEPLOY / name).read_text().replace("/run/serving", str(folder / "run")).replace("lcr_ser", NAME)
        (folder / "config" / name).write_text(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        rest_port = probe.getsockname()[1]
    # A container has its ports to itself; here others may hold 8501.
    (folder / "bin/tensorflow_model_server").write_text(
        f'#!/bin/bash\nexec {BINARY} "${{@/--rest_api_port=8501/--rest_api_port={rest_port}}}"\n'
    )
    (folder / "bin/tensorflow_model_server").chmod(0o755)
    paths = {"RUN": folder / "run", "CONFIG": folder / "config", "PUSHED": pushed}
    env = {"MODEL": NAME, **{name: str(path) for name, path in paths.items()}, "REST_PORT": str(rest_port)}
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    with (
        (folder / "start.log").open("w") as log,
        running([*before, str(DEPLOY / "start")], log, {**env, **path}, signal.SIGTERM) as process,
    ):
        yield process, f"unix:{folder / 'run/grpc.sock'}", {**os.environ, **env}


@contextlib.contextmanager
def running(
    command: Sequence[str], log: TextIO, environment: Mapping[str, str], end: signal.Signals = signal.SIGKILL
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes to `log`, and is sent `end` at the end."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
    try:
        yield process
    finally:
        process.send_signal(end)
        process.wait(30)


def wait_for(client: RankingClient, version: int, seconds: float = 120) -> None:
    """Until a version is available."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(RankingError):
            if any(one.version == version and one.state == "AVAILABLE" for one in client.status()):
                return
        time.sleep(0.05)
    raise AssertionError(f"version {version} was not available within {seconds} s")
