"""Trains some steps and prints their losses: `python replica_process.py one|mirrored|workers`.

`workers` is one of several processes that train together; TF_CONFIG says which.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from model.config import SupervisedConfig
from model.lcr_ser import LcrSer
from model.training import supervised
from model.training.optimizers import SplitAdam
from tests.support.random_logs import random_logs, small_config

STEPS, BATCH = 12, 32


def strategy_of(kind):
    if kind == "mirrored":
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.MultiWorkerMirroredStrategy() if kind == "workers" else tf.distribute.get_strategy()


def main(kind):
    """L2 of the tables is off: it is the one term that depends on the number of replicas."""
    with strategy_of(kind).scope():
        logs, _ = random_logs(users=20)
        config = SupervisedConfig(l2_weight=0.0, learning_rate=0.01)
        keras.utils.set_random_seed(config.seed)
        model = LcrSer(small_config())
        optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, config.learning_rate)
        step = supervised.make_step(model, optimizer, config, logs)
        batches = np.random.default_rng(0).choice(logs.targets, (STEPS, BATCH))
        losses = [
            float(step(tf.constant(number, tf.int64), tf.constant(batch))["loss"])
            for number, batch in enumerate(batches)
        ]
    print(json.dumps(losses))


if __name__ == "__main__":
    main(*sys.argv[1:])
