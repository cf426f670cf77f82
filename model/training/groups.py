"""The groups of a reinforcement step: what is rolled out, what came of it, and sums over parts of a batch."""

from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from model.training.optimizers import merge_rows

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices | None"


class Groups(NamedTuple):
    """One group a row: what the N trajectories of a target start from.

    Attributes:
        batch: the model batch, with the target in column 0 of its candidates.
        valid: False for candidates that do not take part, `[B, C]`.
        noise: of each trajectory, what the model's `noise` gave: `[B, N, ...]`, Eq. (14).
    """

    batch: dict[str, tf.Tensor]
    valid: tf.Tensor
    noise: Any


class Rollout(NamedTuple):
    """What the old policy did, without gradients.

    Attributes:
        old, reference: log pi of the old and of the reference policy, `[B, N]`.
        rewards: r of each trajectory, `[B, N]`.
    """

    old: tf.Tensor
    reference: tf.Tensor
    rewards: tf.Tensor


def split_groups(groups: Groups, parts: int) -> list[Groups]:
    """Cuts a batch into parts of nearly the same size, none of them empty."""
    rows = groups.valid.shape[0]
    parts = min(parts, rows)
    bounds = [rows * part // parts for part in range(parts + 1)]
    return [
        tf.nest.map_structure(lambda tensor, begin=begin, end=end: tensor[begin:end], groups)
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]


class Totals:
    """Gradients and logs of a batch, added up part by part.

    Attributes:
        gradients: one for each source; None where no part had one.
        logs: scalars.
    """

    def __init__(self) -> None:
        self.gradients: list[Gradient] = []
        self.logs: dict[str, tf.Tensor] = {}

    def add(self, gradients: list[Gradient], logs: dict[str, tf.Tensor], share: tf.Tensor | float) -> None:
        """Add means over `share` of the batch."""
        whole = isinstance(share, float) and share == 1
        scaled = gradients if whole else [_scaled(gradient, share) for gradient in gradients]
        before = self.gradients or [None] * len(scaled)
        self.gradients = [_sum(one, other) for one, other in zip(before, scaled, strict=True)]
        self.logs = {name: self.logs.get(name, 0.0) + share * value for name, value in logs.items()}


def _scaled(gradient: Gradient, share: tf.Tensor | float) -> Gradient:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(share * gradient.values, gradient.indices, gradient.dense_shape)
    return None if gradient is None else share * gradient


def _sum(one: Gradient, other: Gradient) -> Gradient:
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, tf.IndexedSlices):
        values = tf.concat([one.values, other.values], 0)
        return merge_rows(tf.IndexedSlices(values, tf.concat([one.indices, other.indices], 0), one.dense_shape))
    return one + other
