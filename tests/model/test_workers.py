"""What workers exchange: two processes, each with what is its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.training.checkpoints import Checkpoints
from tests.support import worker_process
from tests.support.ports import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With checkpoints that the first worker sees alone."""
    folder = tmp_path_factory.mktemp("workers")
    Checkpoints(str(folder / "0"), {}, [keras.Variable(np.zeros(2, np.float32))]).save_latest(4)
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """What each worker printed."""
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", worker_process.__name__, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}),
            },
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [errors[-2000:] for _, errors in outputs]
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


@pytest.mark.long
def test_each_knows_which_it_is_and_has_a_seed_of_its_own(told):
    assert [one["worker"] for one in told] == [[0, 2], [1, 2]]
    assert [one["seed"] for one in told] == [7, 7 + 2**32]


def test_sums_and_lists_are_those_of_both(told):
    for one in told:
        assert one["sum"] == [4.0, 2.0]
        assert one["each"] == [[], [0, 1]]


def test_a_training_has_one_name(told):
    assert told[0]["agreed"] == told[1]["agreed"]
    assert len(told[0]["agreed"]) == 32


def test_both_refuse_when_one_has_other_settings(told):
    for one in told:
        assert "should train with the same settings, code and files. Received: others on [1]" in one["disagreed"]


def test_both_refuse_when_they_share_no_storage(told):
    for one in told:
        assert "All workers should see the same checkpoint" in one["apart"] and "[4, 0]" in one["apart"]


def test_the_chief_writes_and_both_restore(told, folder):
    assert [one["best"] for one in told] == [[1.0, 1.0]] * 2, "both began with the chief's weight"
    assert [one["step"] for one in told] == [2, 2]
    state = tf.train.get_checkpoint_state(str(folder / "shared" / "latest"))
    assert [os.path.basename(path) for path in state.all_model_checkpoint_paths] == ["ckpt-2"]
    assert told[0]["scratch"] == str(folder)
    assert not Path(told[1]["scratch"]).parent.exists(), "scratch space is deleted"
