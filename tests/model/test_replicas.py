"""Training on several replicas is training on one with the same batches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import replica_process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def start(kind, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", replica_process.__name__, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def losses_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def alone():
    losses = losses_of(start("one"))
    assert losses[-1] < 0.9 * losses[0]
    return losses


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.long
def test_two_replicas_in_one_process(alone):
    """`MirroredStrategy`."""
    np.testing.assert_allclose(losses_of(start("mirrored")), alone, rtol=1e-4)


@pytest.mark.long
def test_two_processes(alone):
    """`MultiWorkerMirroredStrategy`."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    processes = [
        start("workers", TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}))
        for index in range(2)
    ]
    for process in processes:
        np.testing.assert_allclose(losses_of(process), alone, rtol=1e-4)
