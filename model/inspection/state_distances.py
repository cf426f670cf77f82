"""How far the reasoning states of requests are from the items that were clicked."""

from typing import NamedTuple, cast

import tensorflow as tf

from model.layers.reasoning import EncodedHistories, Sides


class StateDistances(NamedTuple):
    """States of one side and what they are near to.

    Attributes:
        states: h^(0) to h^(K), `[B, K + 1, d]`.
        distance: cosine distance of each to the target's embedding, from 0 to 2, `[B, K + 1]`.
        closer: share of the other candidates that are farther away than the target, `[B, K + 1]`; .5 is chance. A
            distance falls for every item alike if the states come nearer to all items; this does not.
    """

    states: tf.Tensor
    distance: tf.Tensor
    closer: tf.Tensor


class SideDistances(NamedTuple):
    """The distances of both sides."""

    search: StateDistances
    rec: StateDistances


def state_distances(
    histories: EncodedHistories, steps: Sides, candidates: tf.Tensor, label: tf.Tensor
) -> SideDistances:
    """Distances that Fig. 4 and 5 of the paper show, by cosine, which is the distance of our Eq. (9).

    Args:
        histories: what `LcrSer.read` gave, K > 0.
        steps: what `LcrSer.reason` gave for them, of one trajectory.
        candidates: embeddings, `[B, C, d]`, C > 1.
        label: column of the target, `[B]`.
    """
    return SideDistances(
        *(
            _distances(tf.concat([cast(tf.Tensor, history.start)[:, None], of_side[:, 0]], 1), candidates, label)
            for history, of_side in zip(histories, steps, strict=True)
        )
    )


def _distances(states: tf.Tensor, candidates: tf.Tensor, label: tf.Tensor) -> StateDistances:
    similar = tf.matmul(tf.math.l2_normalize(states, -1), tf.math.l2_normalize(candidates, -1), transpose_b=True)
    target = tf.gather(similar, label, axis=2, batch_dims=1)
    farther = tf.reduce_sum(tf.cast(similar < target[..., None], tf.float32), 2)
    return StateDistances(states, 1 - target, farther / tf.cast(tf.shape(candidates)[1] - 1, tf.float32))
