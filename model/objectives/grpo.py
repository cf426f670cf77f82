"""Group relative policy optimisation, Eq. (14) to (17), as pure functions."""

from typing import Literal, NamedTuple

import tensorflow as tf

from model.ops.softmax_attention import MASKED_LOGIT


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
    logits: tf.Tensor,
    valid: tf.Tensor,
    policy: Literal["softmax", "sigmoid"] = "softmax",
    temperature: float = 1.0,
) -> tf.Tensor:
    """log pi(v | T) of the target.

    Args:
        logits: `[B, N, C]`, the target in column 0.
        valid: False for a candidate that does not take part, `[B, C]`.
        policy: a softmax over the valid candidates, or the target's sigmoid alone.
        temperature: what the logits are divided by; above 1 the policy is flatter.

    Returns:
        `[B, N]`.
    """
    logits /= temperature
    if policy == "sigmoid":
        return tf.math.log_sigmoid(logits[..., 0])
    return tf.nn.log_softmax(tf.where(valid[:, None], logits, MASKED_LOGIT))[..., 0]


def kl_penalty(log_probability: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """The estimator of Eq. (16), elementwise; never negative, 0 where both log-probabilities are equal."""
    difference = reference - log_probability
    return tf.exp(difference) - difference - 1.0


class Objective(NamedTuple):
    """Means over all trajectories of a batch, scalars.

    Attributes:
        total: J of Eq. (15), to be maximised.
        gain: its first term, ratio times advantage.
        kl: the mean of Eq. (16).
        ratio: pi over pi_old.
        clip_ratio: share of trajectories whose ratio was clipped.
    """

    total: tf.Tensor
    gain: tf.Tensor
    kl: tf.Tensor
    ratio: tf.Tensor
    clip_ratio: tf.Tensor


def objective(
    log_probability: tf.Tensor,
    old: tf.Tensor,
    reference: tf.Tensor,
    advantage: tf.Tensor,
    *,
    kl_weight: float,
    clip_range: float = 0.0,
) -> Objective:
    """J of Eq. (15).

    Args:
        log_probability, old, reference: log pi of the current, the old and the reference policy, `[B, N]`.
        advantage: A, `[B, N]`.
        kl_weight: lambda_KL.
        clip_range: if above 0, min(ratio A, clip(ratio, 1 - range, 1 + range) A) takes the place of ratio A.
    """
    ratio = tf.exp(log_probability - old)
    gain = ratio * advantage
    clipped = tf.zeros_like(gain)
    if clip_range:
        bounded = tf.clip_by_value(ratio, 1.0 - clip_range, 1.0 + clip_range) * advantage
        clipped = tf.cast(bounded < gain, gain.dtype)
        gain = tf.minimum(gain, bounded)
    gain, divergence = tf.reduce_mean(gain), tf.reduce_mean(kl_penalty(log_probability, reference))
    return Objective(gain - kl_weight * divergence, gain, divergence, tf.reduce_mean(ratio), tf.reduce_mean(clipped))
