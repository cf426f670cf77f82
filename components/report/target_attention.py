"""What the aggregation of Eq. (8) looks at for the item that was clicked."""

from typing import NamedTuple

import tensorflow as tf

from model.lcr_ser import LcrSer
from model.reasoning import Sides


class TargetWeights(NamedTuple):
    """Weights of one side, which sum to 1 where there is an event or a step.

    Attributes:
        events: of the history, `[B, L]`, the newest in the last column.
        steps: of the reasoning states, `[B, K]`.
    """

    events: tf.Tensor
    steps: tf.Tensor


def target_attention(model: LcrSer, target: tf.Tensor, histories: Sides, steps: Sides) -> Sides:
    """Weights of Eq. (8) on history and reasoning states; all the same where the model's aggregation is the mean.

    Args:
        model: the model.
        target: embeddings of the items clicked, `[B, d]`.
        histories: what `model.read` gave.
        steps: what `model.reason` gave for them, of one trajectory.

    Returns:
        Two `TargetWeights`.
    """
    found, attentions = [], (model.search_attention, model.rec_attention)
    for attention, history, of_side in zip(attentions, histories, steps, strict=True):
        weighted = attention.weigh(target[:, None], history.states, history.mask, of_side)
        found.append(TargetWeights(weighted.weights[:, 0, 0], weighted.step_weights[:, 0, 0]))
    return Sides(*found)
