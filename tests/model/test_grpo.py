"""Special cases of Eq. (14) to (17): groups without variance, clipping, noise."""

import numpy as np
import pytest
import tensorflow as tf

from model.objectives import grpo


@pytest.mark.parametrize("epsilon", [1e-4, 0.0])
def test_groups_without_variance_have_no_advantage(epsilon):
    third = 1 / 3  # not exact in binary: the mean of equal rewards need not equal them
    result, constant = grpo.advantages(tf.constant([[1.0] * 3, [0.0] * 3, [third] * 3, [0.0, 1.0, 1.0]]), epsilon)
    np.testing.assert_array_equal(result[:3], np.zeros((3, 3)))
    np.testing.assert_array_equal(constant, [True, True, True, False])


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


def test_noise_spares_the_first_trajectory_and_repeats_with_its_seed():
    noise = grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 2]))
    assert noise.shape == (200, 5, 16)
    np.testing.assert_array_equal(noise[:, 0], np.zeros((200, 16)))
    assert float(tf.math.reduce_std(noise[:, 1:])) == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(noise, grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 2])))
    assert np.abs(noise - grpo.exploration_noise(200, 5, 16, 0.5, tf.constant([1, 3]))).max() > 0
