"""Training on several replicas is training on one with the same batches, in both stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import replica_process
from tests.support.ports import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def start(kind, draws=1, jit="", **environment):
    return subprocess.Popen(
        [sys.executable, "-m", replica_process.__name__, kind, str(draws), jit],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def losses_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def require_equal(logged, expected):
    for step, (one, other) in enumerate(zip(logged, expected, strict=True)):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if name == "l2_loss":  # whose weight is 0 here: it depends on the number of replicas
                continue
            np.testing.assert_allclose(one[name], value, rtol=1e-3, atol=1e-5, err_msg=f"{name} of step {step}")


@pytest.mark.long
def test_two_replicas_in_one_process():
    """`MirroredStrategy`."""
    alone = losses_of(start("one"))
    assert alone[replica_process.STEPS - 1]["loss"] < 0.9 * alone[0]["loss"]
    require_equal(losses_of(start("mirrored")), alone)
    require_equal(losses_of(start("mirrored", jit="jit")), alone)


@pytest.mark.long
def test_two_processes():
    """`MultiWorkerMirroredStrategy`: each process gives half of a batch and draws for it with a seed of its own."""
    alone = losses_of(start("one", draws=2))
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    processes = [
        start(
            "workers", draws=2, TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        )
        for index in range(2)
    ]
    for process in processes:
        require_equal(losses_of(process), alone)
