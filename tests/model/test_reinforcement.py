"""The reinforcement step: its start, its updates, what it trains, parts of a batch, rewards."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig
from model.lcr_ser import LcrSer
from model.objectives.metrics import ranking_reward
from model.training import reinforcement
from tests.support.random_logs import random_batch, random_logs, randomise, small_config

MODEL = small_config(reasoning_steps=1)
# NDCG@10 over ten candidates: nearly every change of a ranking changes the reward, so most groups have variance.
CONFIG = GrpoConfig(
    num_trajectories=4, noise_scale=2.0, num_negatives=9, batch_size=32, learning_rate=3e-3, reward={"NDCG@10": 1.0}
)
LOG_NAMES = {
    "loss",
    "policy_objective",
    "kl",
    "ratio",
    "clip_ratio",
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "missing_negatives",
    "grad_norm",
}


@pytest.fixture(scope="module")
def timelines():
    return random_logs()[0]


def run_step(timelines, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    model = randomise(LcrSer(MODEL))
    reference = reinforcement.copy_policy(model, share_tables=config.trained != "all")
    step = reinforcement.make_step(model, reference, reinforcement.make_optimizer(model, config), config, timelines)
    logs = step(tf.constant(0, tf.int64), tf.constant(timelines.targets[:32]))
    return model, reference, {name: float(value) for name, value in logs.items()}


def differences(model, other):
    return {
        one.path.split("/", 1)[1]: np.abs(one.numpy() - two.numpy()).max()
        for one, two in zip(model.trainable_variables, other.trainable_variables, strict=True)
    }


def test_starts_at_the_reference(timelines, eager):
    *_, logs = run_step(timelines, learning_rate=0.0)
    assert set(logs) == LOG_NAMES
    assert logs["kl"] == pytest.approx(0.0, abs=1e-9)
    assert logs["ratio"] == 1.0
    # Ratio 1: the objective is the mean of standardised advantages.
    assert logs["policy_objective"] == pytest.approx(0.0, abs=1e-5)
    assert logs["loss"] == pytest.approx(0.0, abs=1e-5)
    assert logs["grad_norm"] > 0
    assert 0 < logs["frac_reward_zero_std"] < 1


def test_update_raises_the_objective_of_its_rollout():
    model = randomise(LcrSer(MODEL))
    reference = reinforcement.copy_policy(model)
    optimizer = reinforcement.make_optimizer(model, CONFIG)
    batch = {name: tf.constant(value) for name, value in random_batch(MODEL, size=40, candidates=10).items()}
    embedded = model.embed(batch)
    noise = reinforcement.sample_noise(model, CONFIG, 40, tf.constant(0, tf.int64))
    with tf.GradientTape() as tape:
        before, _ = reinforcement.group_objective(
            model, reference, CONFIG, embedded, anchor=embedded, valid=tf.ones([40, 10], tf.bool), noise=noise
        )
    old = _log_probability(model, embedded, noise)
    optimizer.apply(tape.gradient(before["loss"], optimizer.sources))
    new = _log_probability(model, embedded, noise)
    rewards, advantage = _rewards_and_advantages(reference, embedded, noise)
    # Eq. (15) on the same rollout, the old policy held fixed: better than the 0 it had before the update.
    kl = np.exp(old - new) - (old - new) - 1
    assert np.mean(np.exp(new - old) * advantage - CONFIG.kl_weight * kl) > 1e-4
    assert float(before["reward"]) == pytest.approx(rewards.mean(), rel=1e-5)


def _logits(model, embedded, noise):
    histories = model.read(embedded)
    return model.rank(embedded, histories, model.reason(histories, noise=noise)).numpy()


def _log_probability(model, embedded, noise):
    logits = _logits(model, embedded, noise)
    return logits[..., 0] - np.log(np.exp(logits).sum(-1))


def _rewards_and_advantages(model, embedded, noise):
    logits = _logits(model, embedded, noise)
    ranks = 1 + (logits[..., 1:] >= logits[..., :1]).sum(-1)
    rewards = 1 / np.log2(1 + ranks)
    return rewards, (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, ddof=1, keepdims=True) + 1e-4)


@pytest.mark.parametrize("trained", ["all", "dense", "reasoning"])
def test_only_what_is_to_be_trained_changes(timelines, eager, trained):
    model, reference, _ = run_step(timelines, trained=trained)
    tables = {f"{name}/table" for name in ("users", "items", "words")}
    for name, difference in differences(model, reference).items():
        expected = trained == "all" if name in tables else trained != "reasoning" or "latent_cross" in name
        assert (difference > 0) == expected, name


def test_reference_shares_the_tables_unless_they_train():
    model = LcrSer(MODEL)
    assert reinforcement.copy_policy(model).tables is not None
    assert all(a is b for a, b in zip(model.tables, reinforcement.copy_policy(model).tables, strict=True))
    copied = reinforcement.copy_policy(model, share_tables=False)
    assert all(a is not b for a, b in zip(model.tables, copied.tables, strict=True))
    assert max(differences(model, copied).values()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["all", "dense"])
@pytest.mark.long
def test_parts_of_a_batch_add_up_to_the_batch(timelines, eager, trained):
    changes = {"trained": trained, "updates_per_rollout": 2}
    whole, _, logs = run_step(timelines, **changes)
    parts, _, logs_of_parts = run_step(timelines, accumulation_steps=3, **changes)
    # Adam divides by the size of tiny gradients, so that rounding shows more in weights than in the sums.
    assert max(differences(whole, parts).values()) < 2e-4
    assert logs_of_parts == pytest.approx(logs, rel=1e-3, abs=1e-5)


def test_further_updates_keep_the_rollout(timelines, eager):
    once, _, logs_of_one = run_step(timelines)
    twice, _, logs_of_two = run_step(timelines, updates_per_rollout=2)
    assert logs_of_one["ratio"] == 1.0
    assert logs_of_two["ratio"] != 1.0
    assert logs_of_two["kl"] > 0
    # The means over both updates of what did not change between them.
    for name in ("reward", "reward_std", "frac_reward_zero_std"):
        assert logs_of_two[name] == pytest.approx(logs_of_one[name], rel=1e-6)
    # Twice the mean less the first, which was 0: the second update saw what the first had gained.
    assert logs_of_two["policy_objective"] > 1e-4
    assert max(differences(once, twice).values()) > 0


@pytest.mark.slow
def test_clipping_limits_further_updates(timelines, eager):
    changes = {"updates_per_rollout": 4, "kl_weight": 0.0, "learning_rate": 0.02}
    *_, free = run_step(timelines, **changes)
    *_, clipped = run_step(timelines, clip_range=0.01, **changes)
    assert free["clip_ratio"] == 0
    assert clipped["clip_ratio"] > 0
    assert clipped["policy_objective"] < free["policy_objective"]


@pytest.mark.slow
def test_negative_advantages_count_as_much_as_they_are_weighted(timelines, eager):
    whole, half, none = (
        run_step(timelines, negative_weight=weight, learning_rate=0.0)[2]["policy_objective"]
        for weight in (1.0, 0.5, 0.0)
    )
    assert none > 0.01  # the mean of what is left of advantages whose mean is 0
    assert half == pytest.approx((whole + none) / 2, abs=1e-5)


@pytest.mark.slow
@pytest.mark.long
def test_compiled_step_equals_the_eager_one(timelines):
    compiled, _, logs = run_step(timelines, updates_per_rollout=2)
    tf.config.run_functions_eagerly(True)
    eager, _, expected = run_step(timelines, updates_per_rollout=2)
    tf.config.run_functions_eagerly(False)
    assert logs == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert max(differences(compiled, eager).values()) < 2e-4


def test_reward_is_a_weighted_sum_of_metrics():
    ranks = tf.constant([[1, 2, 5, 6, 11]])
    result = ranking_reward(ranks, {"HR@1": 1.0, "NDCG@5": 0.5, "HR@10": 0.25})
    ndcg = [1, 1 / math.log2(3), 1 / math.log2(6), 0, 0]
    expected = [1.0 * (r == 1) + 0.5 * n + 0.25 * (r <= 10) for r, n in zip((1, 2, 5, 6, 11), ndcg, strict=True)]
    np.testing.assert_allclose(result[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": {}}, "`reward` should .* Received: {}"),
        ({"reward": {"MRR": 1.0}}, "`reward` should .*MRR"),
        ({"reward": {"HR@0": 1.0}}, "`reward` should .*HR@0"),
        ({"temperature": 0.0}, "`temperature` should be above 0"),
        ({"negatives_avoid": "past"}, "`negatives_avoid` should be one of clicked, none"),
        ({"trained": "head"}, "`trained` should be one of all, dense, reasoning"),
        ({"max_steps": -1}, "`max_steps` should be at least 0"),
        ({"accumulation_steps": 0}, "`accumulation_steps` should be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        GrpoConfig(**changes)
