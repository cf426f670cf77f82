"""Eq. (14) to (17) against scalar computations."""

import math
import statistics

import numpy as np
import pytest
import tensorflow as tf

from model import grpo


def test_advantages_use_the_unbiased_standard_deviation():
    rewards = [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
    expected = [[(r - statistics.mean(row)) / (statistics.stdev(row) + 1e-4) for r in row] for row in rewards]
    result, constant = grpo.advantages(tf.constant(rewards), 1e-4)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert not constant.numpy().any()


@pytest.mark.parametrize("epsilon", [1e-4, 0.0])
def test_groups_without_variance_have_no_advantage(epsilon):
    third = 1 / 3  # not exact in binary: the mean of equal rewards need not equal them
    result, constant = grpo.advantages(tf.constant([[1.0] * 3, [0.0] * 3, [third] * 3, [0.0, 1.0, 1.0]]), epsilon)
    np.testing.assert_array_equal(result[:3], np.zeros((3, 3)))
    np.testing.assert_array_equal(constant, [True, True, True, False])


def test_softmax_policy_leaves_invalid_candidates_out():
    logits, valid = [[[1.0, 2.0, 9.0, 0.5]]], [[True, True, False, True]]
    expected = 1.0 - math.log(sum(math.exp(x) for x in (1.0, 2.0, 0.5)))
    result = grpo.target_log_probability(tf.constant(logits), tf.constant(valid))
    assert result.shape == (1, 1)
    assert float(result[0, 0]) == pytest.approx(expected, rel=1e-6)


def test_sigmoid_policy_is_of_the_target_alone():
    result = grpo.target_log_probability(tf.constant([[[1.0, 2.0]]]), tf.constant([[True, True]]), "sigmoid")
    assert float(result[0, 0]) == pytest.approx(-math.log1p(math.exp(-1.0)), rel=1e-6)


def test_temperature_divides_the_logits_of_both_policies():
    logits, valid = tf.constant([[[1.0, 2.0]]]), tf.constant([[True, True]])
    softmax = grpo.target_log_probability(logits, valid, "softmax", 2.0)
    assert float(softmax[0, 0]) == pytest.approx(0.5 - math.log(math.exp(0.5) + math.exp(1.0)), rel=1e-6)
    sigmoid = grpo.target_log_probability(logits, valid, "sigmoid", 2.0)
    assert float(sigmoid[0, 0]) == pytest.approx(-math.log1p(math.exp(-0.5)), rel=1e-6)


def test_clipping_stops_what_a_large_ratio_could_earn():
    log_ratio = np.log([[1.5, 1.5, 0.5, 0.5, 1.1]]).astype(np.float32)
    advantage = np.float32([[1.0, -1.0, 1.0, -1.0, 2.0]])
    current = tf.constant(log_ratio)
    with tf.GradientTape() as tape:
        tape.watch(current)
        zero = tf.zeros_like(current)
        result = grpo.objective(current, zero, zero, tf.constant(advantage), kl_weight=0.0, clip_range=0.2)
    # The smaller of both: a gain is cut at 1.2, a loss at 0.8; harm is not.
    assert float(result.gain) == pytest.approx((1.2 - 1.5 + 0.5 - 0.8 + 2.2) / 5, rel=1e-5)
    assert float(result.clip_ratio) == pytest.approx(2 / 5)
    np.testing.assert_allclose(tape.gradient(result.total, current), [[0, -0.3, 0.1, 0, 0.44]], atol=1e-6)


def test_kl_penalty():
    current, reference = math.log(0.2), math.log(0.5)
    expected = 0.5 / 0.2 - math.log(0.5 / 0.2) - 1
    assert float(grpo.kl_penalty(tf.constant(current), tf.constant(reference))) == pytest.approx(expected, rel=1e-5)
    assert float(grpo.kl_penalty(tf.constant(current), tf.constant(current))) == 0.0


def test_objective_and_its_gradient():
    current = tf.constant([[-1.0, -2.0], [-0.5, -3.0]])
    old, reference = current - 0.3, current + 0.2
    advantage = tf.constant([[1.0, -1.0], [0.5, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(current)
        total, gain, divergence, mean_ratio, clipped = grpo.objective(
            current, tf.stop_gradient(old), reference, advantage, kl_weight=0.1
        )
    ratio, kl = math.exp(0.3), math.exp(0.2) - 0.2 - 1
    assert float(mean_ratio) == pytest.approx(ratio, rel=1e-5)
    assert float(clipped) == 0
    assert float(gain) == pytest.approx(ratio * 0.5 / 4, rel=1e-5)
    assert float(divergence) == pytest.approx(kl, rel=1e-4)
    assert float(total) == pytest.approx(ratio * 0.5 / 4 - 0.1 * kl, rel=1e-5)
    expected = (ratio * advantage.numpy() + 0.1 * 0.0) / 4
    # d KL / d log pi = 1 - pi_ref / pi; the reference moves with `current` only in this test's construction.
    with tf.GradientTape() as tape:
        tape.watch(current)
        total, *_ = grpo.objective(current, old, tf.constant(reference.numpy()), advantage, kl_weight=0.1)
    np.testing.assert_allclose(
        tape.gradient(total, current), expected - 0.1 * (1 - math.exp(0.2)) / 4, rtol=1e-4, atol=1e-6
    )


def test_noise_spares_the_first_trajectory_and_repeats_with_its_seed():
    noise = grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 2]))
    assert noise.shape == (200, 5, 16)
    np.testing.assert_array_equal(noise[:, 0], np.zeros((200, 16)))
    assert float(tf.math.reduce_std(noise[:, 1:])) == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(noise, grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 2])))
    assert np.abs(noise - grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 3]))).max() > 0
