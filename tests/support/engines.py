"""Beam engines for tests: Prism, and pools of workers, each ended with its context."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tfx_pipeline.beam.arguments import prism

ROOT = Path(__file__).resolve().parents[2]


def require_prism() -> Path:
    """Prism's binary; the test is skipped where it was not built, and fails there where CI is set."""
    if prism().exists():
        return prism()
    reason = f"no {prism().relative_to(ROOT)}: build it (make engine)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def served(*command: str, port: int, log: Path):
    """A program that serves on a port, from when it answers until the context ends; gives its process."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port)):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextlib.contextmanager
def running_prism(folder: Path):
    """Prism at an endpoint; gives that and its process."""
    port = free_port()
    command = (str(require_prism()), "--job_port", str(port), "--serve_http=false")
    with served(*command, port=port, log=folder / "prism.log") as process:
        yield f"localhost:{port}", process


@contextlib.contextmanager
def running_pool(folder: Path):
    """Our pool of workers at an address; gives that and its process."""
    port = free_port()
    command = (sys.executable, "-m", "tfx_pipeline.beam.pool", "--port", str(port))
    with served(*command, port=port, log=folder / "pool.log") as process:
        yield f"localhost:{port}", process


def listening(process) -> set[str]:
    """Addresses of the interfaces on which a process and its children listen."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    found = {
        connection.laddr.ip
        for one in family
        for connection in one.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    return found - {"::ffff:127.0.0.1", "127.0.0.1", "::1"}
