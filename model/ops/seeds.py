"""Seeds of draws within a training step."""

import keras
import tensorflow as tf


def next_seed(generator: keras.random.SeedGenerator) -> tf.Tensor:
    """The generator's next seed, int32 `[2]`; of several replicas each gets its own, since each has other rows."""
    seed = tf.cast(generator.next(), tf.int32)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        seed += tf.stack([tf.distribute.get_replica_context().replica_id_in_sync_group, 0])
    return seed
