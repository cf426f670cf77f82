"""Trains some steps of both stages and prints their losses: `python replica_process.py KIND DRAWS [jit]`.

KIND is `one`, `mirrored` or `workers`, which is one of several processes that train together; TF_CONFIG says which.
DRAWS is how many workers' draws a batch holds: a worker has its own seed, and `one` can draw for all of them.
With `jit` the steps are compiled by XLA.
"""

import dataclasses
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.lcr_ser import LcrSer
from model.training import reinforcement, replicas, supervised
from model.training.optimizers import SplitAdam
from tests.support.random_logs import random_logs, small_config

STEPS, BATCH = 12, 32
SUPERVISED = SupervisedConfig(l2_weight=0.0, learning_rate=0.01, num_negatives=5, unknown_rate=0.0)
"""L2 of the tables is off: it is the one term that depends on the number of replicas. So are ids made unknown."""
GRPO = GrpoConfig(
    num_trajectories=3,
    noise_scale=2.0,
    num_negatives=9,
    reward={"NDCG@10": 1.0},
    learning_rate=0.01,
    trained="all",
    accumulation_steps=2,
)


def strategy_of(kind):
    if kind == "mirrored":
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.MultiWorkerMirroredStrategy() if kind == "workers" else tf.distribute.get_strategy()


def drawn_by(draws, draw):
    """A function of a batch's rows, drawn for each worker's rows by its own seed and put together."""

    def drawn(*args):
        parts, own_seed = [], replicas.own_seed
        for worker in range(draws):
            replicas.own_seed = lambda seed, worker=worker: seed + (worker << 32)
            parts.append(draw(*args, worker))
        replicas.own_seed = own_seed
        return tf.nest.map_structure(lambda *of_workers: tf.concat(of_workers, 0), *parts)

    return drawn


def draw_for(draws):
    """Makes this process draw as so many workers would."""
    sampler, noise = supervised.NegativeSampler, reinforcement.sample_noise

    def samplers(timelines, sampling, avoid, count, seed, clicks=None):
        each = [sampler(timelines, sampling, avoid, count, seed + (worker << 32)) for worker in range(draws)]
        return drawn_by(draws, lambda step, rows, worker: each[worker](step, tf.split(rows, draws)[worker]))

    supervised.NegativeSampler = reinforcement.NegativeSampler = samplers
    reinforcement.sample_noise = drawn_by(
        draws, lambda model, config, rows, step, worker: noise(model, config, rows // draws, step)
    )


def losses_of(step, batches):
    index, workers = replicas.worker()
    return [
        {
            name: float(value)
            for name, value in step(tf.constant(number, tf.int64), tf.constant(np.split(batch, workers)[index])).items()
        }
        for number, batch in enumerate(batches)
    ]


def main(kind, draws, jit=""):
    taught, reinforced = (dataclasses.replace(stage, jit_compile=bool(jit)) for stage in (SUPERVISED, GRPO))
    with strategy_of(kind).scope():
        if kind != "workers" and int(draws) > 1:
            draw_for(int(draws))
        logs, _ = random_logs(users=20)
        keras.utils.set_random_seed(SUPERVISED.seed)
        model = LcrSer(small_config(reasoning_steps=1))
        batches = np.random.default_rng(0).choice(logs.targets, (STEPS, BATCH))
        optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, SUPERVISED.learning_rate)
        losses = losses_of(supervised.make_step(model, optimizer, taught, logs), batches)
        reference = reinforcement.copy_policy(model, share_tables=False)
        optimizer = reinforcement.make_optimizer(model, GRPO)
        grpo = reinforcement.make_step(model, reference, optimizer, reinforced, logs)
        losses += losses_of(grpo, batches[: STEPS // 3])
    print(json.dumps(losses))


if __name__ == "__main__":
    main(*sys.argv[1:])
