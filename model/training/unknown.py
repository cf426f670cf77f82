"""Teaches the model what it does not know: in training some ids are replaced by the unknown one."""

import tensorflow as tf

from model.contract import FIRST_KNOWN_ID, TIME_FEATURES, UNKNOWN_ID
from model.data.windows import Batch


def with_unknown(batch: Batch, rate: float, seed: int, step: tf.Tensor) -> Batch:
    """Replace each known id by the unknown one with a probability, whatever becomes of the others.

    A row of the unknown user, item or word is looked up by requests of a servable, and by nothing in a training log
    whose vocabulary holds all that occurs in it: nothing else would train it.

    Args:
        batch: ids, `[B, ...]` each; padding stays padding, and times stay times.
        rate: the probability.
        seed: the same seed and step replace the same ids.
        step: int64 scalar.
    """
    if not rate:
        return batch
    replaced = {}
    for number, (name, ids) in enumerate(batch.items(), 1):
        if name in TIME_FEATURES:
            replaced[name] = ids
            continue
        chance = tf.random.stateless_uniform(tf.shape(ids), tf.stack([tf.constant(seed + number, tf.int64), step]))
        replaced[name] = tf.where((chance < rate) & (ids >= FIRST_KNOWN_ID), UNKNOWN_ID, ids)
    return replaced
