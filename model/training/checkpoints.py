"""Checkpoints of a training: the state it goes on from, and its best weights."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from model.training import replicas


class Checkpoints:
    """Keeps one `latest` and one `best` checkpoint.

    A new checkpoint is written beside the old one, becomes the recorded one when a small file is renamed, and only then
    is the old one deleted. So wherever a save ends early, a whole checkpoint is left; what else is left is deleted at
    the next start.

    Of several workers the chief writes, and all restore what it wrote. The others write to scratch space, since
    TensorFlow may want all of them for it.

    Args:
        directory: of both, made if it is not there; all workers see the same.
        state: all that a step changes besides the weights, by name.
        weights: what the training changes in the model; of variables that are in `state` too, one copy is saved.
    """

    def __init__(self, directory: str, state: dict[str, Any], weights: Sequence[keras.Variable]) -> None:
        self._directory = directory
        own = replicas.own_dir(directory)
        self._latest = _manager(os.path.join(own, "latest"), weights=list(weights), **state)
        self._best = _manager(os.path.join(own, "best"), weights=list(weights))

    def restore_latest(self) -> bool:
        """Restores state and weights; False if there is no checkpoint yet.

        Raises:
            OSError: if it cannot be restored, or another worker sees another one.
        """
        path = _recorded(os.path.join(self._directory, "latest"))
        of_workers = [int(step) for [step] in replicas.of_workers([_step_of(path)])]
        if len(set(of_workers)) > 1:
            raise OSError(
                f"All workers should see the same checkpoint in {self._directory}. Received: steps {of_workers}. Put "
                "`checkpoints` on storage that all of them share."
            )
        if path:
            self._restore(self._latest.checkpoint, path)
        # Before the chief writes the next one in its place.
        replicas.wait_for_all()
        return path is not None

    def restore_best(self) -> None:
        """Restores the weights of the best evaluation; raises as above."""
        replicas.wait_for_all()  # for the chief to have written it
        self._restore(self._best.checkpoint, _recorded(os.path.join(self._directory, "best")))
        replicas.wait_for_all()

    def save_latest(self, step: int) -> None:
        """Save state and weights after a step; raise what `writing` raises."""
        with self.writing(f"The checkpoint of step {step}"):
            self._latest.save(step)

    def save_best(self, step: int) -> None:
        """Save the weights after a step; raise what `writing` raises."""
        with self.writing(f"The best weights, of step {step},"):
            self._best.save(step)

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Says what to do if something cannot be written within the context, most often for want of space.

        Args:
            what: the first words of the message.

        Raises:
            OSError: instead of any error of TensorFlow or of the system.
        """
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            # On disk, not in the manager: that one may already know of a checkpoint that it could not record.
            recorded = _recorded(self._latest.directory)
            step = _step_of(recorded)
            last = f"The last good checkpoint is of step {step}" if recorded else "There is no checkpoint yet"
            raise OSError(
                f"{what} could not be written: {_reason(error)}. {last}, in {self._directory}. Free some space, or put "
                f"right what else is wrong, and start the same training again: it goes on from step {step}."
            ) from error

    def _restore(self, checkpoint: tf.train.Checkpoint, path: str | None) -> None:
        try:
            checkpoint.restore(path).assert_existing_objects_matched()
        except Exception as error:  # TensorFlow's errors here have no base class in common
            raise OSError(
                f"The checkpoint {path} could not be restored: {_reason(error)}. Delete {self._directory} to start the "
                "training anew."
            ) from error


def _manager(directory: str, **objects: Any) -> tf.train.CheckpointManager:
    _delete_leftovers(directory)
    return tf.train.CheckpointManager(tf.train.Checkpoint(**objects), directory, max_to_keep=1)


def _recorded(directory: str) -> str | None:
    """The checkpoint that counts, by the file that `tf.train.CheckpointManager` renames into place last."""
    state = tf.train.get_checkpoint_state(directory)
    return state.model_checkpoint_path if state else None


def _step_of(path: str | None) -> int:
    return int(path.rsplit("-", 1)[1]) if path else 0


def _delete_leftovers(directory: str) -> None:
    """Delete what belongs to no recorded checkpoint: parts of a save that was killed or found no space."""
    if not tf.io.gfile.isdir(directory):
        return
    recorded = _recorded(directory)
    for name in tf.io.gfile.listdir(directory):
        if name == "checkpoint" or recorded and name.startswith(os.path.basename(recorded) + "."):
            continue
        path = os.path.join(directory, name)
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        else:
            tf.io.gfile.remove(path)


def _reason(error: Exception) -> str:
    """What TensorFlow says, in one line and without the names of its ops."""
    text = getattr(error, "message", None) or str(error)
    text = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]", "", text).strip().split("\n")[0]
    return text.partition(" Showing ")[0].rstrip(".")  # what follows are values of weights
