"""Both stages on a small log, as a process of its own: one that a test can kill, or take the disk away from."""

import hashlib
import multiprocessing
import resource
from pathlib import Path

import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.training import reinforcement, supervised
from model.training.checkpoints import Checkpoints
from tests.support.random_logs import random_logs, small_config

MODEL = small_config(dropout=0.2, reasoning_steps=1, mlp_units=(4,))
SUPERVISED = SupervisedConfig(
    batch_size=64, eval_batch_size=64, learning_rate=0.02, tcl_weight=0.0, max_epochs=2, patience=2, checkpoint_every=2
)
GRPO = GrpoConfig(
    num_trajectories=3,
    noise_scale=2.0,
    num_negatives=9,
    reward={"NDCG@10": 1.0},
    batch_size=32,
    eval_batch_size=64,
    learning_rate=0.01,
    max_steps=4,
    eval_every=1,
)
USERS = 24
SMALL_FILE = 10_000
"""Bytes: more than the logs of a training here grow to, less than a checkpoint."""


def start(target, *args):
    """Starts a function of this module in a new process; they all share one import of TensorFlow."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras"])
    process = context.Process(target=target, args=args)
    process.start()
    return process


def train_both(folder):
    """Trains both stages, or goes on with them; `<stage>.sha256` then holds a hash of the weights."""
    model = train_supervised(folder)
    reinforcement.train(model, GRPO, *random_logs(users=USERS), **_directories(folder, "grpo"))
    _note_weights(folder, "grpo", model)


def train_supervised(folder):
    """The first stage of `train_both`."""
    tf.config.run_functions_eagerly(True)  # so few steps are quicker than one trace
    model = supervised.train(MODEL, SUPERVISED, *random_logs(users=USERS), **_directories(folder, "supervised"))
    _note_weights(folder, "supervised", model)
    return model


def train_until_the_disk_is_full(folder):
    """`train_supervised`, but after the first checkpoint no file may become larger than `SMALL_FILE`.

    `error.txt` then holds what was raised.
    """
    save = Checkpoints.save_latest

    def save_and_fill_the_disk(self, step):
        save(self, step)
        # Python ignores SIGXFSZ: a write beyond the limit fails, as it would on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE, SMALL_FILE))

    Checkpoints.save_latest = save_and_fill_the_disk
    try:
        train_supervised(folder)
    except OSError as error:
        Path(folder, "error.txt").write_text(str(error))


def _directories(folder, stage):
    return {"checkpoint_dir": str(Path(folder, stage)), "log_dir": str(Path(folder, "logs"))}


def _note_weights(folder, stage, model):
    digest = hashlib.sha256(b"".join(variable.numpy().tobytes() for variable in model.trainable_variables))
    Path(folder, f"{stage}.sha256").write_text(digest.hexdigest())
