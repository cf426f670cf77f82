"""Group relative policy optimisation, Eq. (14) to (17), as pure functions."""

from typing import Literal

import tensorflow as tf

from model.attention import MASKED_LOGIT


def exploration_noise(batch: int | tf.Tensor, trajectories: int, dim: int, scale: float, seed: tf.Tensor) -> tf.Tensor:
    """What Eq. (14) adds to h^(0) of one side.

    Args:
        batch, trajectories, dim: B, N and d.
        scale: gamma times sigma.
        seed: two integers; the same seed gives the same noise.

    Returns:
        `[B, N, d]`; zero for the first trajectory.
    """
    noise = scale * tf.random.stateless_normal([batch, trajectories - 1, dim], seed)
    return tf.pad(noise, [[0, 0], [1, 0], [0, 0]])


def advantages(rewards: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Rewards standardised in their group, Eq. (17), with the unbiased standard deviation.

    Args:
        rewards: `[B, N]`.
        epsilon: added to the standard deviation.

    Returns:
        A, `[B, N]`, exactly 0 in a group whose rewards are all equal; and which groups those are, bool `[B]`.
    """
    centred = rewards - tf.reduce_mean(rewards, 1, keepdims=True)
    constant = tf.reduce_all(rewards == rewards[:, :1], 1)
    variance = tf.reduce_sum(tf.square(centred), 1, keepdims=True) / tf.cast(tf.shape(rewards)[1] - 1, rewards.dtype)
    standardised = centred / (tf.sqrt(variance) + epsilon)
    return tf.where(constant[:, None], 0.0, standardised), constant


def target_log_probability(
    logits: tf.Tensor, valid: tf.Tensor, policy: Literal["softmax", "sigmoid"] = "softmax"
) -> tf.Tensor:
    """log pi(v | T) of the target.

    Args:
        logits: `[B, N, C]`, the target in column 0.
        valid: False for a candidate that does not take part, `[B, C]`.
        policy: a softmax over the valid candidates, or the target's sigmoid alone.

    Returns:
        `[B, N]`.
    """
    if policy == "sigmoid":
        return tf.math.log_sigmoid(logits[..., 0])
    return tf.nn.log_softmax(tf.where(valid[:, None], logits, MASKED_LOGIT))[..., 0]


def kl_penalty(log_probability: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """The estimator of Eq. (16), elementwise; never negative, 0 where both log-probabilities are equal."""
    difference = reference - log_probability
    return tf.exp(difference) - difference - 1.0


def objective(
    log_probability: tf.Tensor, old: tf.Tensor, reference: tf.Tensor, advantage: tf.Tensor, kl_weight: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """J of Eq. (15), to be maximised.

    Args:
        log_probability, old, reference: log pi of the current, the old and the reference policy, `[B, N]`.
        advantage: A, `[B, N]`.
        kl_weight: lambda_KL.

    Returns:
        Scalars: J, its first term (the policy's objective), and the mean of Eq. (16).
    """
    ratio = tf.exp(log_probability - old)
    gain = tf.reduce_mean(ratio * advantage)
    divergence = tf.reduce_mean(kl_penalty(log_probability, reference))
    return gain - kl_weight * divergence, gain, divergence
