"""Weighted sums of the states of H^(K), Eq. (7), that are not taken before it is clear what of.

For many candidates it saves a product with each of them: the states are projected instead, of which there are fewer.
`test_states_may_be_projected_first` in tests/model/test_short_cuts.py compares the orders.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from model.ops.linear import linear
from model.ops.shapes import shaped, sizes


class WeightedStates(NamedTuple):
    """w of one side, as weights and states. A size of 1 in the weights stands for all trajectories or candidates.

    Attributes:
        weights: of the history, `[B, N, C, L]`.
        states: H, `[B, L, d]`.
        step_weights: of the reasoning states, `[B, N, C, K]`.
        steps: `[B, N, K, d]`.
    """

    weights: tf.Tensor
    states: tf.Tensor
    step_weights: tf.Tensor
    steps: tf.Tensor

    def total(self) -> tf.Tensor:
        """w, `[B, N, C, d]`."""
        return _product(self.weights, self.states) + tf.matmul(self.step_weights, self.steps)


def project(sides: Sequence[WeightedStates], kernels: Sequence[tf.Tensor], constant: tf.Tensor) -> tf.Tensor:
    """The sum over both sides of w times the side's kernel, `[d, m]`, and a constant `[B, m]`: `[B, N, C, m]`.

    There are two orders of the same products, and the cheaper one is taken:

    - few candidates: w of each side is summed up, `[B, N, C, d]`, and then projected;
    - many, or an open number of them: the states are projected, `[B, L, m]`, and then weighed, both sides in one
      product, in which the constant is one more state, of weight 1. The reasoning states are
        - further states of that product, where there is one trajectory;
        - a second product, where there are several, as each has its own.
    """
    candidates, (dim, width) = sides[0].weights.shape[2], kernels[0].shape
    length = sides[0].states.shape[1] or 1
    trajectories = sides[0].steps.shape[1]
    many = candidates is None or (
        length * dim * width / (trajectories or 1) + candidates * length * width
        < candidates * length * dim + candidates * dim * width
    )
    if not many:
        parts = [linear(side.total(), kernel) for side, kernel in zip(sides, kernels, strict=True)]
        return tf.add_n(parts) + constant[:, None, None]
    states = [linear(side.states, kernel) for side, kernel in zip(sides, kernels, strict=True)]
    steps = [linear(side.steps, kernel) for side, kernel in zip(sides, kernels, strict=True)]
    weights, step_weights = [side.weights for side in sides], [side.step_weights for side in sides]
    weights.append(tf.ones_like(weights[0][..., :1]))
    states.append(tf.expand_dims(constant, 1))
    if trajectories == 1:
        return _product(
            tf.concat([*weights, *step_weights], 3), tf.concat([*states, *(tf.squeeze(part, 1) for part in steps)], 1)
        )
    of_history = _product(tf.concat(weights, 3), tf.concat(states, 1))
    return of_history + tf.matmul(tf.concat(step_weights, 3), tf.concat(steps, 2))


def _product(weights: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`[B, N, C, L]` and `[B, L, m]` give `[B, N, C, m]`, as one product for each row."""
    batch, trajectories, candidates, length = sizes(weights)
    flat = tf.matmul(shaped(weights, [batch, trajectories * candidates, length]), values)
    return shaped(flat, [batch, trajectories, candidates, sizes(values)[2]])
