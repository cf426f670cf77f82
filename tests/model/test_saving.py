"""Saving, restoring and exporting."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from synthetic_logs import random_batch, randomise, small_config

from model.inputs import CANDIDATES
from model.lcr_ser import LcrSer


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
        self.score = tf.function(model.score, input_signature=[encoded, candidates], autograph=False)


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


def test_keras_file_gives_the_same_model(model, batch, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded(batch), model(batch))


def test_layers_rebuild_from_their_config(model):
    encoder = model.reasoning.rec_encoder
    for layer in (*model.layers, encoder, encoder.attention, encoder.out):
        copy = type(layer).from_config(layer.get_config())
        assert copy.get_config() == layer.get_config()


def test_compiled_call_equals_the_eager_call(model, batch):
    np.testing.assert_allclose(tf.function(model, autograph=False)(batch), model(batch), atol=1e-6)
