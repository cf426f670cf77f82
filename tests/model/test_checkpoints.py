"""Checkpoints: what counts as the latest one, and what is said when one cannot be written or read."""

import math
import resource

import keras
import pytest
import tensorflow as tf

from model.training.checkpoints import Checkpoints
from model.training.optimizers import SplitAdam


@pytest.fixture
def weight():
    return keras.Variable(tf.zeros([5000]))


@pytest.fixture
def checkpoints(tmp_path, weight):
    return Checkpoints(str(tmp_path), {"count": tf.Variable(0)}, [weight])


@pytest.fixture
def no_space():
    """A file larger than 1,000 bytes cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def restored(tmp_path):
    weight = keras.Variable(tf.ones([5000]))
    assert Checkpoints(str(tmp_path), {"count": tf.Variable(0)}, [weight]).restore_latest()
    return float(weight.value[0])


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "latest").iterdir())


def test_nothing_is_restored_where_nothing_was_saved(checkpoints):
    assert not checkpoints.restore_latest()


def test_only_the_recorded_checkpoint_is_taken_and_kept(tmp_path, checkpoints, weight):
    weight.assign(weight + 7.0)
    checkpoints.save_latest(3)
    kept = files(tmp_path)
    # A whole checkpoint that was killed before it was recorded, halves of others, and a state file's new version.
    weight.assign(weight + 1.0)
    tf.train.Checkpoint(weights=[weight]).write(str(tmp_path / "latest" / "ckpt-4"))
    for name in ("ckpt-30.index", "ckpt-5.data-00000-of-00001", "checkpoint.tmp0123"):
        (tmp_path / "latest" / name).write_bytes(b"half")
    (tmp_path / "latest" / "ckpt-6_temp").mkdir()
    (tmp_path / "latest" / "ckpt-6_temp" / "part-00000").write_bytes(b"half")
    assert restored(tmp_path) == 7.0
    assert files(tmp_path) == kept == ["checkpoint", "ckpt-3.data-00000-of-00001", "ckpt-3.index"]


def test_a_failed_save_names_the_step_to_go_on_from(tmp_path, checkpoints, weight, no_space):
    checkpoints.save_latest(3)
    weight.assign(weight + 1.0)
    no_space()
    with pytest.raises(
        OSError,
        match="^The checkpoint of step 4 could not be written: .*File too large. The last good "
        f"checkpoint is of step 3, in {tmp_path}. Free some space.* from step 3.$",
    ):
        checkpoints.save_latest(4)
    assert restored(tmp_path) == 0.0


def test_the_first_save_may_fail_too(tmp_path, checkpoints, no_space):
    no_space()
    with pytest.raises(OSError, match=f"There is no checkpoint yet, in {tmp_path}.* from step 0.$"):
        checkpoints.save_latest(3)


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, checkpoints):
    checkpoints.save_latest(3)
    (tmp_path / "latest" / "ckpt-3.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(OSError, match=f"ckpt-3 could not be restored: .*Delete {tmp_path} to start"):
        restored(tmp_path)


def test_a_checkpoint_of_another_program_is_named_in_one_line(tmp_path, checkpoints, weight):
    checkpoints.save_latest(3)
    others = Checkpoints(str(tmp_path), {"optimizer": SplitAdam([], [weight], 0.1), "other": weight}, [weight])
    with pytest.raises(
        OSError, match=r"ckpt-3 could not be restored: Found \d+ Python objects [^\[]*\. Delete"
    ) as found:
        others.restore_latest()
    assert len(str(found.value)) < 400 + 2 * len(str(tmp_path))


def test_weights_that_are_in_the_state_too_are_saved_once(tmp_path, weight):
    Checkpoints(str(tmp_path), {"optimizer": SplitAdam([], [weight], 0.1)}, [weight]).save_latest(1)
    saved = tf.train.load_checkpoint(str(tmp_path / "latest"))
    sizes = [math.prod(shape) for shape in saved.get_variable_to_shape_map().values()]
    assert sizes.count(5000) == 3  # the weight and Adam's two moments
