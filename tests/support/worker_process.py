"""One of several workers that exchange a few things and print what they got: `python worker_process.py FOLDER`."""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

from components.trainer.distribution import strategy_of, training_under
from components.trainer.settings import DistributionSettings
from model.training import replicas
from model.training.checkpoints import Checkpoints


def error_of(call, *args):
    try:
        call(*args)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def checkpoints(folder, weight, step):
    """Saves, spoils and restores the best weight, and gives it."""
    kept = Checkpoints(folder, {"step": step}, [weight])
    kept.restore_latest()
    weight.assign(weight + 1)
    step.assign(step.numpy() + 2)
    kept.save_best(int(step.numpy()))
    kept.save_latest(int(step.numpy()))
    weight.assign(weight * 0)
    kept.restore_best()
    return weight.numpy().tolist()


def main(folder):
    strategy = strategy_of(DistributionSettings(strategy="multi_worker", wait_seconds=120))
    with training_under(strategy):
        index, workers = replicas.worker()
        weight = keras.Variable(np.full(2, index, np.float32))
        step = tf.Variable(0, dtype=tf.int64)
        told = {
            "worker": [index, workers],
            "seed": replicas.own_seed(7),
            "sum": replicas.sum_of_workers([index + 1.5, 1]).tolist(),
            "each": [row.tolist() for row in replicas.of_workers(np.arange(2 * index, dtype=np.int32))],
            "agreed": replicas.agreed(["same"], f"own of {index}"),
            "disagreed": error_of(replicas.agreed, [f"settings of {index}"], "own"),
            "best": checkpoints(os.path.join(folder, "shared"), weight, step),
            "step": int(step.numpy()),
            # Each sees another folder, as if there were no shared storage.
            "apart": error_of(Checkpoints(os.path.join(folder, str(index)), {}, [weight]).restore_latest),
            "scratch": replicas.own_dir(folder),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
