"""A loss or a weight that is not finite ends a training, names the rows it learned from and spoils no checkpoint."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.data.targets import TargetOrder
from model.lcr_ser import LcrSer
from model.training import reinforcement, supervised
from model.training.non_finite import batch_ids
from tests.support.random_logs import random_logs, randomise, small_config

pytestmark = pytest.mark.usefixtures("eager")

SUPERVISED = SupervisedConfig(batch_size=16, eval_batch_size=32, max_epochs=1, checkpoint_every=1)
ENCODER_ONLY = small_config(dropout=0.1, reasoning_steps=0, mlp_units=())
LOGS = random_logs(users=12)


def directories(path):
    return {"checkpoint_dir": str(path / "checkpoints"), "log_dir": str(path / "logs")}


def report_of(failure):
    return json.loads(Path(re.search(r"are in (\S+\.json):", str(failure.value))[1]).read_text())


def latest(tmp_path):
    return tf.train.latest_checkpoint(tmp_path / "checkpoints" / "latest")


def test_the_rows_of_a_batch_are_found_in_the_log():
    timelines, _ = LOGS
    empty_first = dataclasses.replace(
        timelines,
        users=np.append(99, timelines.users).astype(np.int32),
        rec_offsets=np.append(0, timelines.rec_offsets).astype(np.int32),
    )
    for log in (timelines, empty_first):
        ids = batch_ids(log, log.targets)
        clicks = np.diff(log.rec_offsets)
        np.testing.assert_array_equal(ids["users"], np.repeat(log.users, clicks))
        np.testing.assert_array_equal(ids["target_items"], log.rec_items)


@pytest.mark.parametrize("checkpoint_every", [1, 100])
def test_a_loss_that_explodes_names_the_step_and_the_ids_of_its_batch(tmp_path, checkpoint_every, monkeypatch):
    """Also where it is looked at some steps later."""
    monkeypatch.setattr("model.training.progress.MIN_SECONDS", 1000)  # no line in between
    config = dataclasses.replace(SUPERVISED, learning_rate=1e30, checkpoint_every=checkpoint_every)
    with pytest.raises(FloatingPointError, match="^The supervised loss .* at step 2") as failure:
        supervised.train(ENCODER_ONLY, config, *LOGS, **directories(tmp_path))
    assert str(tmp_path / "logs" / "non_finite_supervised_step_2.json") in str(failure.value)
    report = report_of(failure)
    assert (report["stage"], report["step"], report["logs"]["loss"]) == ("supervised", 2, "nan")
    order = TargetOrder(LOGS[0].targets, config.batch_size, config.seed)
    for name, step in (("batch", 1), ("previous_batch", 0)):
        expected = batch_ids(LOGS[0], order.batch(step))
        assert report[name] == {key: value.tolist() for key, value in expected.items()}
    assert latest(tmp_path) is None if checkpoint_every > 1 else latest(tmp_path).endswith("ckpt-1")


def test_weights_that_overflow_are_never_saved(tmp_path):
    # The loss of step 1 is that of the first weights, and finite; only its update is not.
    config = dataclasses.replace(SUPERVISED, learning_rate=1e39)
    with pytest.raises(FloatingPointError, match="^The supervised weights .* at step 1") as failure:
        supervised.train(ENCODER_ONLY, config, *LOGS, **directories(tmp_path))
    report = report_of(failure)
    assert isinstance(report["logs"]["loss"], float)
    assert len(report["batch"]["users"]) == 16
    assert report["previous_batch"] is None
    assert latest(tmp_path) is None


@pytest.mark.slow
def test_a_broken_row_of_a_table_is_found_through_the_file(tmp_path):
    timelines, requests = LOGS
    model = randomise(LcrSer(small_config(reasoning_steps=1, mlp_units=())))
    user = int(timelines.users[5])
    model.users.table.value.scatter_update(tf.IndexedSlices(tf.fill([1, model.config.dim], np.nan), [user]))
    config = GrpoConfig(num_trajectories=2, num_negatives=3, batch_size=8, eval_batch_size=32, max_steps=20)
    start = [variable.numpy() for variable in model.dense_variables]
    with pytest.raises(FloatingPointError, match="^The grpo loss .* at step") as failure:
        reinforcement.train(model, config, timelines, requests, **directories(tmp_path))
    report = report_of(failure)
    assert user in report["batch"]["users"]
    assert report["step"] == 1 or user not in report["previous_batch"]["users"]
    # What was saved before the first step is still there, and finite.
    best = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "best"))
    saved = [best.get_tensor(f"weights/{index}/.ATTRIBUTES/VARIABLE_VALUE") for index in range(len(start))]
    for ours, theirs in zip(saved, start, strict=True):
        np.testing.assert_array_equal(ours, theirs)
