"""Target-aware aggregation of history and reasoning states, Eq. (7) and (8)."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.linear import linear
from model.ops.shapes import shaped, sizes
from model.ops.softmax_attention import MASKED_LOGIT
from model.ops.weighted_states import WeightedStates


@keras.saving.register_keras_serializable(package="lcr_ser")
class TargetAttention(keras.layers.Layer):
    """Att of Eq. (8): scores h W e_v / sqrt(d), a softmax over real events and reasoning steps, a weighted sum.

    The root keeps the first weights near a plain mean. Without it the attention is peaked before it has learnt
    anything, and overfits (docs/experiments/settings_search.md).

    Args:
        dim: d.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        """Create W."""
        self.kernel = self.add_weight(name="kernel", shape=(self.dim, self.dim), initializer="glorot_normal")

    def call(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """w, `[B, N, C, d]`: what `weigh` gives, summed."""
        return self.weigh(candidates, states, mask, steps).total()

    def of_history(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The same of a history alone: `[B, C, d]`, zero where it is empty.

        Args:
            candidates: `[B, C, d]`, or `[1, C, d]` where all rows share them.
            states, mask: of the history, `[B, L, d]` and `[B, L]`.
        """
        steps = tf.zeros([tf.shape(states)[0], 1, 0, self.dim], states.dtype)
        return self.weigh(candidates, states, mask, steps).total()[:, 0]

    def weigh(self, candidates: tf.Tensor, states: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor) -> WeightedStates:
        """Weights for each candidate.

        The softmax over the history is taken once for all trajectories. What a trajectory adds is how its steps share
        the whole with the history, which is one more logit: the log of the history's sum of exponentials.

        | real events | K | weights of events | weights of steps |
        |---|---|---|---|
        | some | 0 | softmax over the events | none |
        | some | 1 or more | softmax over events and steps together | the same |
        | none | 0 | all 0: w is 0 | none |
        | none | 1 or more | all 0 | softmax over the steps |

        W is applied to whichever are fewer, states or candidates; the products are the same.

        Args:
            candidates: embeddings e_v, `[B, C, d]`.
            states: H, `[B, L, d]`.
            mask: True for a real event, `[B, L]`; other states get no weight.
            steps: h^(1) to h^(K) of each trajectory, `[B, N, K, d]`; never masked.

        Returns:
            Weights `[B, N, C, L]` and `[B, N, C, K]`; zero where there is neither an event nor a step.
        """
        batch, trajectories, count, _ = sizes(steps)
        columns = shaped(steps, [batch, trajectories * count, self.dim])
        kernel = tf.cast(self.kernel, candidates.dtype) * self.dim**-0.5
        if _more(candidates, states):
            states_keys, step_keys = linear(states, kernel), linear(columns, kernel)
        else:
            candidates = linear(candidates, tf.transpose(kernel))
            states_keys, step_keys = states, columns
        # In float32 or finer, as every softmax.
        fine = self.variable_dtype
        of_history = tf.cast(tf.matmul(candidates, states_keys, transpose_b=True), fine)
        of_history += tf.expand_dims(tf.where(mask, tf.zeros([], fine), MASKED_LOGIT), 1)
        of_steps = tf.cast(tf.matmul(candidates, step_keys, transpose_b=True), fine)
        of_steps = shaped(of_steps, [batch, sizes(candidates)[1], trajectories, count])
        of_steps = tf.transpose(of_steps, [0, 2, 1, 3])
        largest = tf.stop_gradient(tf.reduce_max(of_history, 2, keepdims=True))
        history = tf.exp(of_history - largest)
        total = tf.reduce_sum(history, 2, keepdims=True)
        together = tf.expand_dims(largest + tf.math.log(total), 1)
        together = tf.broadcast_to(together, tf.concat([tf.shape(of_steps)[:3], [1]], 0))
        share, step_weights = tf.split(tf.nn.softmax(tf.concat([together, of_steps], 3)), [1, count], 3)
        # Without a single event and without a step there would be weight on padding.
        share *= tf.cast(tf.reduce_any(mask, 1), fine)[:, None, None, None]
        weights = share / tf.expand_dims(total, 1) * tf.expand_dims(history, 1)
        return WeightedStates(*(tf.cast(part, states.dtype) for part in (weights, states, step_weights, steps)))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim}


def _more(candidates: tf.Tensor, states: tf.Tensor) -> bool:
    """Whether there are more candidates than states; an unknown number is taken for many."""
    return (candidates.shape[1] or 1 << 30) > (states.shape[1] or 0)
