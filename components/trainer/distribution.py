"""The strategy that a stage trains under, and what becomes of a job that loses a worker."""

import contextlib
import faulthandler
import functools
import logging
import os
import signal
from collections.abc import Iterator

import tensorflow as tf

from components.trainer.meeting import VARIABLE, cluster_of, meet
from components.trainer.settings import DistributionSettings
from model.ranker import Ranker
from model.registry import make_ranker

LOGGER = logging.getLogger(__name__)
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
"""What a collective ends with when a worker does not take part any more."""


@functools.cache
def strategy_of(settings: DistributionSettings) -> tf.distribute.Strategy:
    """The strategy of the settings; one for all stages that a process trains.

    With `multi_worker` it must be the first thing that a process asks of TensorFlow.

    Raises:
        ValueError: for `multi_worker` without a `TF_CONFIG`.
        TimeoutError: if the other workers cannot be reached.
    """
    if settings.strategy == "mirrored":
        return tf.distribute.MirroredStrategy()
    if settings.strategy == "none":
        return tf.distribute.get_strategy()
    cluster = cluster_of(os.environ)
    if cluster is None:
        raise ValueError(
            f"`{VARIABLE}` should be set for `distribution.strategy: multi_worker`. Received: none. Start workers by "
            "`python -m tfx_pipeline.kubeflow.worker`, see docs/training.md."
        )
    meet(cluster, settings.wait_seconds)
    LOGGER.info("Worker %d of %d: all have been reached.", cluster.index, len(cluster.addresses))
    # Should a worker be lost right now, TensorFlow waits for an hour, without letting Python in.
    faulthandler.dump_traceback_later(settings.wait_seconds, exit=True)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    faulthandler.cancel_dump_traceback_later()
    # TensorFlow makes a note of it and goes on; but a pod that is to end should, as its checkpoint is there.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return strategy


@contextlib.contextmanager
def training_under(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """The scope in which models are made and trained; none for a single replica.

    Raises:
        ConnectionError: if another worker was lost.
    """
    if strategy.num_replicas_in_sync == 1:
        yield
        return
    try:
        with strategy.scope():
            yield
    except _LOST as error:
        raise ConnectionError(
            "Another worker was lost, which ends the whole job. Start all workers again: they go on from the last "
            f"checkpoint. TensorFlow says: {_last_line(error)}"
        ) from error


def to_be_kept(model: Ranker, strategy: tf.distribute.Strategy) -> Ranker:
    """A model with the same weights that knows of no other replica, and computes in the precision of its weights."""
    if strategy.num_replicas_in_sync == 1 and model.compute_dtype == model.variable_dtype:
        return model
    copy = make_ranker(model.config)
    for target, source in zip(copy.weights, model.weights, strict=True):
        target.assign(source.numpy())
    return copy


def _last_line(error: tf.errors.OpError) -> str:
    lines = [line for line in error.message.splitlines() if line.startswith("Collective ops is aborted")]
    return (lines or error.message.splitlines() or [type(error).__name__])[0]
