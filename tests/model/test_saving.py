"""Saving, restoring and exporting."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.contract import CANDIDATES
from model.lcr_ser import LcrSer
from tests.support.random_logs import random_batch, randomise, small_config

pytestmark = pytest.mark.slow


class Exported(tf.Module):
    """What a servable does: holds the model, and functions over it."""

    def __init__(self, model, batch):
        super().__init__()
        self.model = model
        specs = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype, name) for name, value in batch.items()}
        candidates = specs.pop(CANDIDATES)
        encoded = {
            name: tf.TensorSpec([None, *value.shape[1:]], value.dtype, name)
            for name, value in model.encode(batch).items()
        }
        self.encode = tf.function(model.encode, input_signature=[specs], autograph=False)
        self.score = tf.function(
            lambda state, items: model.score(state, model.prepare(items)),
            input_signature=[encoded, candidates],
            autograph=False,
        )


@pytest.fixture(scope="module")
def model():
    return randomise(LcrSer(small_config()))


@pytest.fixture(scope="module")
def batch():
    return {name: tf.constant(value) for name, value in random_batch(small_config()).items()}


@pytest.fixture(scope="module")
def saved(model, batch, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("saved"))
    exported = Exported(model, batch)
    # Traced by their signatures on saving; they take dicts, so they cannot be signatures of their own.
    tf.saved_model.save(exported, path)
    return path


def test_reloaded_functions_give_the_same_logits(model, batch, saved):
    loaded = tf.saved_model.load(saved)
    history = {name: value for name, value in batch.items() if name != CANDIDATES}
    np.testing.assert_allclose(loaded.score(loaded.encode(history), batch[CANDIDATES]), model(batch), atol=1e-6)


def test_every_weight_is_restored_from_a_saved_model(model, batch, saved):
    other = LcrSer(small_config())
    status = tf.train.Checkpoint(model=other).restore(saved + "/variables/variables")
    status.expect_partial()
    for ours, theirs in zip(other.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=theirs.path)
    np.testing.assert_array_equal(other(batch), model(batch))


@pytest.mark.parametrize("changes", [{}, {"reasoning_steps": 0}, {"mlp_units": ()}], ids=str)
def test_every_weight_is_in_a_checkpoint(changes, tmp_path):
    model, other = (LcrSer(small_config(**changes)) for _ in range(2))
    path = tf.train.Checkpoint(model=randomise(model)).save(str(tmp_path / "c"))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    for ours, theirs in zip(other.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=theirs.path)


SIZES = [{}, {"reasoning_steps": 0, "mlp_units": ()}, {"aggregation": "mean", "post_norm": False, "literal_eq5": True}]


@pytest.mark.parametrize("changes", SIZES, ids=str)
def test_keras_file_gives_the_same_model(changes, batch, tmp_path):
    model = randomise(LcrSer(small_config(**changes)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded(batch), model(batch))


@pytest.mark.parametrize("changes", SIZES, ids=str)
def test_model_and_its_layers_rebuild_from_their_config(changes):
    config = small_config(**changes)
    layers = ours_in(LcrSer(config, name="some_name"))
    normalized = config.post_norm
    for layer in layers:
        config, arguments = layer.get_config(), inspect.signature(type(layer)).parameters
        # The tables of another model are no setting.
        assert set(arguments) - {"kwargs", "tables"} <= set(config), type(layer)
        assert type(layer).from_config(config).get_config() == config
        assert keras.saving.get_registered_name(type(layer)) == f"lcr_ser>{type(layer).__name__}"
    assert len({type(layer) for layer in layers}) == 10 + normalized


def ours_in(model):
    return [layer for layer in model._flatten_layers() if type(layer).__module__.startswith("model.")]
