"""Losses, rewards and the objective against the equations in NumPy: Eq. (9), (11), (12) and (15) to (17)."""

import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.layers.reasoning import Sides
from model.lcr_ser import LcrSer
from model.objectives import grpo
from model.objectives.losses import l2_penalty
from model.objectives.metrics import pessimistic_rank, ranking_reward
from model.training.reinforcement import group_objective
from tests.support import reference
from tests.support.random_logs import random_batch, random_model, randomise, small_config, tensors
from tests.support.reference_weights import requests_of, settings_of, weights_of


def assert_close(ours, expected):
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("aggregation", ["target", "mean"])
def test_supervised_losses(distance, aggregation):
    """Eq. (9), (11) and (12); a negative that the user did click is no pair of Eq. (11)."""
    model = random_model(aggregation=aggregation)
    config = SupervisedConfig(tcl_distance=distance, tcl_weight=0.7, l2_weight=0.01)
    batch = random_batch(model.config, size=10, candidates=5)
    valid = np.random.default_rng(8).random((10, 5)) < 0.7
    valid[:, 0] = True
    logs = model.losses(model.embed(tensors(batch)), tf.constant(valid, tf.float32), config)
    norm = l2_penalty([variable.value for variable in model.trainable_variables], [])

    weights, settings = weights_of(model), settings_of(model.config)
    pairs, hinges = [], []
    for request, takes_part in zip(requests_of(batch), valid, strict=True):
        crossed = reference.scoring.reasoned(weights, request, **settings)
        plain = reference.scoring.reasoned(weights, request, **settings, cross=False)
        logits = reference.scoring.rank(weights, request, crossed, **settings)
        pairs += [(logits[column], float(column == 0)) for column in np.flatnonzero(takes_part)]
        target = weights["items"][request["candidates"][0]]
        for with_cross, without in zip(crossed[2:], plain[2:], strict=True):
            hinges.append(
                reference.losses.contrastive_loss(target, with_cross[-1], without[-1], config.tcl_margin, distance)
            )
    assert 0 < np.count_nonzero(hinges) < len(hinges)
    rec_loss, tcl_loss = reference.losses.recommendation_loss(pairs), sum(hinges) / len(batch["user"])
    assert_close(logs["rec_loss"], rec_loss)
    assert_close(logs["tcl_loss"], tcl_loss)
    squared = reference.losses.squared_norm(weights.values())
    assert_close(norm, squared)
    total = reference.losses.total_loss(rec_loss, tcl_loss, squared, config.tcl_weight, config.l2_weight)
    assert_close(logs["loss"] + config.l2_weight * norm, total)


def random_groups(seed):
    """Logits `[B, N, C]` of a current, an old and a reference policy, and which candidates take part, `[B, C]`."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(3, 6, 4, 5)) * np.array([0.0, 0.8, 0.5])[:, None, None, None]
    valid = rng.random((6, 5)) < 0.7
    valid[:, 0] = True
    return np.float32(rng.normal(size=(6, 4, 5)) + shift), valid


@pytest.mark.parametrize(("policy", "temperature"), [("softmax", 1.0), ("softmax", 0.4), ("sigmoid", 2.5)])
def test_policy(policy, temperature):
    """pi(v | T) of Eq. (15) and (16)."""
    (logits, *_), valid = random_groups(1)
    ours = tf.exp(grpo.target_log_probability(tf.constant(logits), valid, policy, temperature))
    assert_close(
        ours,
        [
            [reference.grpo.target_probability(row, takes_part, policy, temperature) for row in group]
            for group, takes_part in zip(logits, valid, strict=True)
        ],
    )


@pytest.mark.parametrize("rewards", [[1, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [1 / 3] * 4, [0.5, 0.63, 1, 0]], ids=str)
@pytest.mark.parametrize("epsilon", [1e-4, 0.0])
def test_advantages(rewards, epsilon):
    """Eq. (17)."""
    ours, constant = grpo.advantages(tf.constant([rewards, [0, 1, 1, 1]], tf.float32), epsilon)
    assert_close(ours[0], reference.grpo.advantages(rewards, epsilon))
    np.testing.assert_array_equal(constant, [len(set(rewards)) == 1, False])


@pytest.mark.parametrize("clip_range", [0.0, 0.2])
def test_objective(clip_range):
    """Eq. (15) and (16)."""
    logits, valid = random_groups(2)
    logs = [grpo.target_log_probability(tf.constant(of_policy), valid) for of_policy in logits]
    advantage = np.float32(np.random.default_rng(3).normal(size=(6, 4)))
    ours = grpo.objective(*logs, tf.constant(advantage), kl_weight=0.3, clip_range=clip_range)
    current, old, anchor = np.exp(np.float64(logs))
    groups = [list(zip(*row, strict=True)) for row in zip(current, old, anchor, advantage, strict=True)]
    assert_close(ours.total, reference.grpo.objective(groups, 0.3, clip_range))
    assert_close(ours.kl, np.mean([[reference.grpo.kl(now, ref) for now, _, ref, _ in group] for group in groups]))
    assert_close(ours.ratio, np.mean(current / old))
    assert (ours.clip_ratio > 0) == (clip_range > 0)


def test_rewards_of_rankings():
    """Section 3.4.2: ranks with ties against the target, HR@k and NDCG@k."""
    logits = np.float32(np.random.default_rng(4).integers(0, 8, (40, 12)))
    weights = {"HR@1": 1.0, "NDCG@5": 0.5, "HR@3": -0.25}
    ranks = pessimistic_rank(tf.constant(logits), tf.zeros([40], tf.int32))
    expected = [reference.grpo.rank_of_target(row, [True] * 12) for row in logits]
    assert set(range(1, 7)) <= set(expected)
    np.testing.assert_array_equal(ranks, expected)
    assert_close(ranking_reward(ranks, weights), [reference.grpo.reward(rank, weights) for rank in expected])


def test_group_objective_from_requests_to_j():
    """Eq. (13) to (17): rollouts of pi and of another pi_ref, their rankings' rewards, A, and J before any update."""
    policy, anchor = random_model(), randomise(LcrSer(small_config()), seed=6)
    config = GrpoConfig(kl_weight=0.3, reward={"HR@1": 1.0, "NDCG@3": 0.5}, policy="softmax")
    batch, rng = random_batch(policy.config, candidates=5), np.random.default_rng(7)
    epsilon = rng.normal(size=(2, 5, 4, policy.config.dim))
    noise = np.float32(2.0 * epsilon * np.array([0, 1, 1, 1])[:, None])
    valid = rng.random((5, 5)) < 0.7
    valid[:, 0] = True
    logs, _ = group_objective(
        policy,
        anchor,
        config,
        policy.embed(tensors(batch)),
        anchor=anchor.embed(tensors(batch)),
        valid=tf.constant(valid),
        noise=Sides(*noise),
    )
    groups, all_rewards = [], []
    for row, request in enumerate(requests_of(batch)):
        starts = [reference.grpo.noisy_starts(np.zeros(policy.config.dim), side[row], 2.0) for side in epsilon]
        of_policy, of_anchor = (
            [
                reference.scoring.logits(weights_of(model), request, noise=start, **settings_of(model.config))
                for start in zip(*starts, strict=True)
            ]
            for model in (policy, anchor)
        )
        rewards = [
            reference.grpo.reward(reference.grpo.rank_of_target(logits, valid[row]), config.reward)
            for logits in of_policy
        ]
        current, kept = (
            [reference.grpo.target_probability(logits, valid[row]) for logits in of_model]
            for of_model in (of_policy, of_anchor)
        )
        advantage = reference.grpo.advantages(rewards, config.advantage_epsilon)
        groups.append(list(zip(current, current, kept, advantage, strict=True)))
        all_rewards.append(rewards)
    assert_close(-logs["loss"], reference.grpo.objective(groups, config.kl_weight))
    assert_close(logs["reward"], np.mean(all_rewards))
    varied = [len(set(rewards)) > 1 for rewards in all_rewards]
    assert any(varied)
    assert_close(logs["frac_reward_zero_std"], 1 - np.mean(varied))
