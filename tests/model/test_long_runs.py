"""What a training survives: being killed at any moment, a disk without space, and having nothing to do."""

import csv
import dataclasses
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.evaluation.evaluator import evaluate
from model.lcr_ser import LcrSer
from model.training import reinforcement
from tests.support import training_process
from tests.support.random_logs import random_logs, randomise

pytestmark = pytest.mark.slow


def results(folder, *stages):
    """The hash of the final weights, the table of metrics, and the last state: every weight, moment and counter."""
    found = {}
    for stage in stages:
        last = tf.train.load_checkpoint(str(folder / stage / "latest"))
        found[stage] = {
            "weights": (folder / f"{stage}.sha256").read_text(),
            "table": (folder / "logs" / f"{stage}.csv").read_text(),
            # TensorFlow's own counter of saves also counts those of steps that were done again.
            "state": {
                name: last.get_tensor(name).tolist()
                for name in last.get_variable_to_shape_map()
                if not name.startswith(("save_counter", "_CHECKPOINTABLE"))
            },
        }
    return found


def recorded_step(folder):
    state = tf.train.get_checkpoint_state(str(folder))
    return int(state.model_checkpoint_path.rsplit("-", 1)[1]) if state else -1


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted training leaves behind, and the seconds it took."""
    training_process.start(time.sleep, 0).join(300)  # imports TensorFlow
    folder = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    process = training_process.start(training_process.train_both, str(folder))
    process.join(300)
    assert process.exitcode == 0
    seconds = time.monotonic() - started
    return results(folder, "supervised", "grpo"), seconds


def start_and_kill(folder, stage, step, delay):
    """Kills a training some time after a step of a stage was saved; gives its exit code."""
    process = training_process.start(training_process.train_both, str(folder))
    end = time.monotonic() + 300
    while recorded_step(folder / stage / "latest") < step and process.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.join(60)
    return process.exitcode


@pytest.mark.long
def test_a_training_killed_again_and_again_ends_like_one_that_was_not(whole, tmp_path):
    expected, seconds = whole
    chance = random.Random(2025)
    exits = [
        start_and_kill(tmp_path, stage, step, chance.uniform(0, seconds / 8))
        for stage, step in (("supervised", 2), ("supervised", 4), ("grpo", 2))
    ]
    assert -signal.SIGKILL in exits
    last = training_process.start(training_process.train_both, str(tmp_path))
    last.join(300)
    assert last.exitcode == 0
    assert results(tmp_path, "supervised", "grpo") == expected


@pytest.mark.long
def test_a_full_disk_costs_only_the_steps_since_the_last_checkpoint(whole, tmp_path):
    expected, _ = whole
    latest = tmp_path / "supervised" / "latest"
    # The first start finds no space for the best weights of step 3, the second none for the state of step 4.
    for good, failing in ((2, "The best weights, of step 3,"), (3, "The checkpoint of step 4")):
        process = training_process.start(training_process.train_until_the_disk_is_full, str(tmp_path))
        process.join(300)
        message = (tmp_path / "error.txt").read_text()
        assert message.startswith(f"{failing} could not be written: ")
        assert message.endswith(f"it goes on from step {good}.")
        assert "File too large" in message and str(tmp_path / "supervised") in message and "\n" not in message
        assert recorded_step(latest) == good
    assert list(latest.glob("ckpt-4*"))  # what the failed save left
    process = training_process.start(training_process.train_supervised, str(tmp_path))
    process.join(300)
    assert results(tmp_path, "supervised") == {"supervised": expected["supervised"]}
    steps = {path.name.split(".")[0] for path in Path(latest).iterdir()}
    assert steps == {"checkpoint", f"ckpt-{recorded_step(latest)}"}


def values(variables):
    return [variable.numpy() for variable in variables]


def test_no_steps_at_all_keep_the_start_and_evaluate_it(tmp_path, eager):
    config = dataclasses.replace(training_process.GRPO, max_steps=0)
    logs = random_logs(users=training_process.USERS)
    for _ in range(2):  # the second start finds a checkpoint
        model = randomise(LcrSer(training_process.MODEL))
        before = values(model.variables)
        directories = {"checkpoint_dir": str(tmp_path), "log_dir": str(tmp_path / "logs")}
        assert reinforcement.train(model, config, *logs, **directories) is model
        np.testing.assert_equal(values(model.variables), before)
    rows = list(csv.DictReader((tmp_path / "logs" / "grpo.csv").read_text().splitlines()))
    expected = evaluate(model, logs[1], config.eval_batch_size)
    assert [row["step"] for row in rows] == ["0"]
    assert {f"eval/{name}": f"{value:.9g}" for name, value in expected.items()}.items() <= rows[0].items()


def test_a_resumed_reinforcement_stage_keeps_the_supervised_model_as_its_reference(tmp_path, eager, monkeypatch):
    logs, references = random_logs(users=training_process.USERS), []
    copy_policy = reinforcement.copy_policy

    def copied(*args, **keywords):
        references.append(copy_policy(*args, **keywords))
        return references[-1]

    monkeypatch.setattr(reinforcement, "copy_policy", copied)
    start = values(randomise(LcrSer(training_process.MODEL)).trainable_variables)
    for steps in (2, 3):
        config = dataclasses.replace(training_process.GRPO, max_steps=steps)
        model = randomise(LcrSer(training_process.MODEL))
        reinforcement.train(model, config, *logs, checkpoint_dir=str(tmp_path), log_dir=str(tmp_path))
        np.testing.assert_equal(values(references[-1].trainable_variables), start)
    rows = list(csv.DictReader((tmp_path / "grpo.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    # The second start went on with weights that had already moved away from the reference.
    assert float(rows[3]["kl"]) > 0
