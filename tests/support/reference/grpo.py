"""Reinforcement learning, Eq. (13) to (17): one trajectory, one group at a time."""

import math
import statistics


def noisy_starts(start, noise, gamma):
    """h^(0) of the N trajectories of Eq. (13), by Eq. (14).

    Args:
        start: h^(0) of the encoder.
        noise: epsilon_i of each trajectory; that of the first is not used.
        gamma: scale of the noise.
    """
    return [start + (1.0 if i > 0 else 0.0) * gamma * epsilon for i, epsilon in enumerate(noise)]


def rank_of_target(logits, valid):
    """Rank of candidate 0 among the valid ones, ties against it: 1 + others that score as high or higher."""
    return 1 + sum(ok and logit >= logits[0] for logit, ok in zip(logits[1:], valid[1:], strict=True))


def hit_ratio(rank, k):
    """HR@k of one rank."""
    return 1.0 if rank <= k else 0.0


def ndcg(rank, k):
    """NDCG@k of one rank, with one relevant item: the ideal gain is 1."""
    return 1.0 / math.log2(1 + rank) if rank <= k else 0.0


def reward(rank, weights):
    """Eval(L_i) of section 3.4.2: a weighted sum of metrics, such as {"HR@1": 1.0, "NDCG@5": 0.5}."""
    total = 0.0
    for name, weight in weights.items():
        metric, k = name.split("@")
        total += weight * {"HR": hit_ratio, "NDCG": ndcg}[metric](rank, int(k))
    return total


def advantages(rewards, epsilon):
    """A_1 to A_N of Eq. (17), with ddof 1; 0 where all rewards of the group are equal."""
    if len(set(rewards)) == 1:
        return [0.0] * len(rewards)
    mean, deviation = statistics.fmean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / (deviation + epsilon) for reward in rewards]


def target_probability(logits, valid, policy="softmax", temperature=1.0):
    """pi(v | T) of candidate 0: a softmax over the valid candidates, or its own sigmoid."""
    scaled = [logit / temperature for logit in logits]
    if policy == "sigmoid":
        return 1.0 / (1.0 + math.exp(-scaled[0]))
    return math.exp(scaled[0]) / sum(math.exp(logit) for logit, ok in zip(scaled, valid, strict=True) if ok)


def kl(current, reference):
    """The estimator of Eq. (16) from two probabilities."""
    return reference / current - math.log(reference / current) - 1.0


def trajectory_objective(current, old, reference, advantage, kl_weight, clip_range=0.0):
    """J_i of Eq. (15) from probabilities; with `clip_range` the ratio earns nothing beyond it, as in PPO."""
    ratio = current / old
    gain = ratio * advantage
    if clip_range:
        gain = min(gain, min(max(ratio, 1.0 - clip_range), 1.0 + clip_range) * advantage)
    return gain - kl_weight * kl(current, reference)


def objective(groups, kl_weight, clip_range=0.0):
    """J of Eq. (15): the mean over groups of the mean over their trajectories.

    Args:
        groups: for each request a list of N tuples (pi, pi_old, pi_ref, A).
        kl_weight: lambda_KL.
        clip_range: 0 is Eq. (15) as printed.
    """
    means = []
    for trajectories in groups:
        values = [trajectory_objective(*one, kl_weight, clip_range) for one in trajectories]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)
