"""The model under Keras's `mixed_bfloat16`: states in bfloat16, weights, tables and logits in float32."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.config import Arithmetic, GrpoConfig, RankerConfig, SupervisedConfig
from model.lcr_ser import LcrSer
from model.registry import KINDS, make_config
from model.training import reinforcement, supervised
from model.training.arithmetic import computing
from model.training.optimizers import SplitAdam
from tests.support.kinds import some
from tests.support.random_logs import random_batch, random_logs, randomise, small_config, tensors

SWITCHES = pytest.mark.parametrize(
    "changes", [{}, {"reasoning_steps": 0, "mlp_units": ()}, {"literal_eq5": True, "aggregation": "mean"}], ids=str
)


@pytest.fixture(autouse=True)
def mixed_precision():
    """As a user would switch it on, for all that is built in a test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@SWITCHES
def test_scores_are_close_to_those_in_float32(changes):
    """bfloat16 keeps 8 bits: logits within 5 % of their spread, and 19 of 20 pairs of candidates in the same order."""
    config = small_config(dim=16, **changes)
    mixed, full = randomise(LcrSer(config)), randomise(LcrSer(config, dtype="float32"))
    batch = tensors(random_batch(config, size=20, candidates=30))
    ours, expected = mixed(batch), full(batch)
    assert ours.dtype == expected.dtype == tf.float32
    assert not np.array_equal(ours, expected)
    np.testing.assert_allclose(ours, expected, atol=0.05 * np.ptp(expected, 1).mean())
    same = np.sign(ours[:, :, None] - ours[:, None]) == np.sign(expected[:, :, None] - expected[:, None])
    assert same.mean() > 0.95


def test_logits_are_not_rounded_until_they_tie():
    """In bfloat16 many candidates would score the same, and ties count against the model."""
    model = randomise(LcrSer(small_config(dim=16, mlp_units=(32, 16))))
    batch = random_batch(model.config, size=20, candidates=30)
    for logits, candidates in zip(model(tensors(batch)).numpy(), batch["candidates"], strict=True):
        assert len(np.unique(logits)) >= len(np.unique(candidates))


@SWITCHES
def test_encode_and_score_take_and_give_float32(changes):
    model = randomise(LcrSer(small_config(**changes)))
    batch = tensors(random_batch(model.config))
    encoded = model.encode(batch)
    assert {value.dtype for value in encoded.values()} == {tf.float32}
    np.testing.assert_allclose(model.score(encoded, model.prepare(batch["candidates"])), model(batch), atol=1e-2)


def test_training_keeps_weights_and_optimizer_in_float32():
    logs, _ = random_logs(users=10)
    model = randomise(LcrSer(small_config(dropout=0.1)))
    optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, 0.01)
    step = supervised.make_step(model, optimizer, SupervisedConfig(), logs)
    tf.config.run_functions_eagerly(True)
    try:
        losses = [float(step(tf.constant(0, tf.int64), tf.constant(logs.targets[:32]))["loss"]) for _ in range(3)]
    finally:
        tf.config.run_functions_eagerly(False)
    assert losses[-1] < losses[0]
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert {moment.dtype for moments in optimizer.moments for moment in moments} == {tf.float32}


def test_group_objective_is_close_to_that_in_float32():
    config = GrpoConfig(num_trajectories=3, noise_scale=1.0, kl_weight=1.0)
    mixed, reference = randomise(LcrSer(small_config()), seed=1), randomise(LcrSer(small_config()), seed=2)
    full = [randomise(LcrSer(small_config(), dtype="float32"), seed) for seed in (1, 2)]
    batch = tensors(random_batch(mixed.config))
    noise = reinforcement.sample_noise(mixed, config, 5, tf.constant(0, tf.int64))
    divergences = []
    for policy, anchor in ((mixed, reference), full):
        logs, _ = reinforcement.group_objective(
            policy,
            anchor,
            config,
            policy.embed(batch),
            anchor=anchor.embed(batch),
            valid=tf.ones([5, 7], tf.bool),
            noise=noise,
        )
        assert {value.dtype for value in logs.values()} == {tf.float32}
        divergences.append(float(logs["kl"]))
    assert divergences[0] == pytest.approx(divergences[1], rel=0.05)


def test_saved_model_keeps_its_precision(tmp_path):
    model = randomise(LcrSer(small_config()))
    batch = tensors(random_batch(model.config))
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_array_equal(loaded(batch), model(batch))


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", some(KINDS))
def test_every_kind_trains_in_bfloat16(kind, tmp_path):
    """Both stages, a few steps each; the weights stay float32, and finite."""
    logs, requests = random_logs(users=10)
    shape = {field.name: getattr(small_config(), field.name) for field in dataclasses.fields(RankerConfig)}
    folders = [{"checkpoint_dir": str(tmp_path / stage), "log_dir": str(tmp_path / stage)} for stage in "ab"]
    first = SupervisedConfig(batch_size=32, max_steps=4)
    second = GrpoConfig(batch_size=8, max_steps=1, num_negatives=5, num_trajectories=2)
    with computing(Arithmetic(precision="mixed_bfloat16")):
        model = supervised.train(make_config({**shape, "kind": kind}), first, logs, requests, **folders[0])
        reinforcement.train(model, second, logs, requests, **folders[1])
    assert model.compute_dtype == "bfloat16"
    for weight in model.trainable_variables:
        assert weight.dtype == "float32" and np.isfinite(weight.numpy()).all()
