"""Both stages on tiny logs: they learn and report."""

import csv
import dataclasses
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.data.negatives import NegativeSampler
from model.evaluation.evaluator import evaluate
from model.lcr_ser import LcrSer
from model.training import reinforcement, supervised
from model.training.ahead import Step
from model.training.optimizers import SplitAdam
from tests.support.random_logs import random_batch, random_logs, randomise, small_config

pytestmark = pytest.mark.slow

MODEL = small_config(dropout=0.1, reasoning_steps=1)
SUPERVISED = SupervisedConfig(
    batch_size=64, eval_batch_size=32, learning_rate=0.02, max_epochs=12, evaluations_per_epoch=1, patience=12
)
GRPO = GrpoConfig(
    num_trajectories=4, noise_scale=2.0, num_negatives=9, batch_size=64, eval_batch_size=64, max_steps=2, eval_every=1
)


def directories(path):
    return {"checkpoint_dir": str(path / "checkpoints"), "log_dir": str(path / "logs")}


@pytest.fixture(scope="module")
def logs():
    return random_logs()


@pytest.fixture(scope="module")
def trained(logs, tmp_path_factory):
    return supervised.train(MODEL, SUPERVISED, *logs, **directories(tmp_path_factory.mktemp("supervised")))


def test_supervised_training_learns(logs, trained):
    metrics = evaluate(trained, logs[1], 16)
    assert set(metrics) == {"HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10"}
    assert metrics["HR@5"] > 0.6  # 0.25 by chance: the user's cluster is to be found
    assert evaluate(trained, logs[1], 60) == pytest.approx(metrics)


def test_progress_is_logged(logs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(supervised, "make_step", lambda *_: Step(lambda *_: 0, lambda _: {"loss": tf.constant(1.0)}))
    with caplog.at_level(logging.INFO, "lcr_ser.progress"):
        supervised.train(MODEL, dataclasses.replace(SUPERVISED, max_epochs=1), *logs, **directories(tmp_path))
    last = caplog.records[-1].progress
    assert (last.stage, last.step, last.loss, last.metric_name) == ("supervised", last.total_steps, 1.0, "NDCG@5")
    assert 0 < last.metric < 1


@pytest.mark.parametrize("stop", ["none", "plain", "target", "both"])
def test_where_the_contrastive_gradient_goes(stop):
    model = randomise(LcrSer(small_config()))
    config = SupervisedConfig(tcl_weight=1.0, tcl_margin=9.0, tcl_stop_gradient=stop)
    embedded = model.embed({name: tf.constant(value) for name, value in random_batch(model.config).items()})
    kernel, candidates = model.reasoning.rec_encoder.hidden.kernel.value, embedded.candidates

    def distance(cross):
        """Summed over both sides. With a margin this wide every hinge is open, and Eq. (9) a difference of these."""
        return sum(
            1.0 + tf.reduce_mean(keras.losses.cosine_similarity(candidates[:, 0], states[:, 0, -1]))
            for states in model.reason(model.read(embedded), cross=cross)
        )

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(candidates)
        loss = model.losses(embedded, tf.ones(candidates.shape[:2]), config)["tcl_loss"]
        expected_by_kernel = distance(cross=True) - (0.0 if stop in ("plain", "both") else distance(cross=False))
        expected_by_target = distance(cross=True) - distance(cross=False)
    np.testing.assert_allclose(
        tape.gradient(loss, kernel), tape.gradient(expected_by_kernel, kernel), rtol=1e-4, atol=1e-5
    )
    by_target = tape.gradient(loss, candidates)
    if stop in ("target", "both"):
        assert by_target is None
    else:
        np.testing.assert_allclose(by_target, tape.gradient(expected_by_target, candidates), rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_xla_step_equals_the_plain_step(logs):
    losses = {}
    for jit in (False, True):
        model = randomise(LcrSer(small_config(reasoning_steps=0, mlp_units=(4,))))
        optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, 0.01)
        step = supervised.make_step(model, optimizer, dataclasses.replace(SUPERVISED, jit_compile=jit), logs[0])
        positions = tf.constant(logs[0].targets[:32])
        tf.config.run_functions_eagerly(not jit)
        losses[jit] = [float(step(tf.constant(i, tf.int64), positions)["loss"]) for i in range(3)]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)


def test_l2_counts_kernels_and_rows_looked_up_once(logs, eager):
    model = randomise(LcrSer(small_config(reasoning_steps=0, mlp_units=())))
    optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, 0.0)
    config = dataclasses.replace(SUPERVISED, num_negatives=1, unknown_rate=0.0)
    step = supervised.make_step(model, optimizer, config, logs[0])
    row = logs[0].targets[:1]  # the first click of user 2: an empty history
    assert logs[0].rec_searches_before[0] == 0
    sampled, _ = NegativeSampler(logs[0], "uniform", "clicked", 1, SUPERVISED.seed)(
        tf.constant(0, tf.int64), tf.constant(row)
    )
    expected = sum(np.sum(v.numpy() ** 2) for v in model.dense_variables if len(v.shape) > 1)
    expected += np.sum(model.users.table.numpy()[2] ** 2)
    expected += np.sum(model.items.table.numpy()[np.unique(sampled)] ** 2)
    result = step(tf.constant(0, tf.int64), tf.constant(row))
    assert float(result["l2_loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("avoid", "missing"), [("clicked", 2.0), ("none", 0.0)])
def test_missing_negatives_are_counted_in_both_stages(eager, avoid, missing):
    timelines, _ = random_logs(users=1)  # who has clicked all items that there are
    assert len(np.unique(timelines.rec_items)) > 2
    model = LcrSer(small_config(reasoning_steps=1))
    changes = {"num_negatives": 2, "negatives_avoid": avoid}
    supervised_step = supervised.make_step(
        model,
        SplitAdam([layer.table for layer in model.tables], model.dense_variables, 0.01),
        dataclasses.replace(SUPERVISED, **changes),
        timelines,
    )
    grpo = dataclasses.replace(GRPO, **changes)
    grpo_step = reinforcement.make_step(
        model, reinforcement.copy_policy(model), reinforcement.make_optimizer(model, grpo), grpo, timelines
    )
    for step in (supervised_step, grpo_step):
        logs = step(tf.constant(0, tf.int64), tf.constant(timelines.targets))
        assert float(logs["missing_negatives"]) == missing
        assert np.isfinite(float(logs["loss"]))


def test_grpo_is_never_worse_on_the_requests(logs, trained, tmp_path, eager):
    model = LcrSer(MODEL)
    for ours, theirs in zip(model.trainable_variables, trained.trainable_variables, strict=True):
        ours.assign(theirs)
    reinforcement.train(model, GRPO, *logs, **directories(tmp_path))
    assert evaluate(model, logs[1], 32)["NDCG@5"] >= evaluate(trained, logs[1], 32)["NDCG@5"]


def test_training_goes_on_from_a_start_for_a_number_of_steps(logs, trained, tmp_path, eager):
    start = LcrSer(MODEL)
    for ours, theirs in zip(start.trainable_variables, trained.trainable_variables, strict=True):
        ours.assign(theirs)
    config = dataclasses.replace(SUPERVISED, max_steps=2)
    assert supervised.train(MODEL, config, *logs, **directories(tmp_path), start=start) is start
    rows = list(csv.DictReader((tmp_path / "logs" / "supervised.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    before, after = (evaluate(model, logs[1], 32)["NDCG@5"] for model in (trained, start))
    assert float(rows[0]["eval/NDCG@5"]) == pytest.approx(before)
    assert after >= before
