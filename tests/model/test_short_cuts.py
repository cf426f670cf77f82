"""Every short cut that makes the model fast gives what the long way gives, gradients included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.data.windows import RequestWindows
from model.evaluation.evaluator import BATCHES_A_BLOCK, RankingEvaluator
from model.lcr_ser import LcrSer
from model.objectives.metrics import pessimistic_rank
from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ops.softmax_attention import attend
from model.ops.weighted_states import WeightedStates, project
from tests.support.random_logs import random_logs, randomise, small_config


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def gradients(function, *inputs):
    """Values, and gradients of a product with fixed random numbers."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(*inputs)
        total = tf.reduce_sum(values * normal(*values.shape, seed=9))
    return [values, *tape.gradient(total, inputs)]


def assert_all_close(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 16)], ids=str)
def test_normalization_is_that_of_keras(shape):
    ours, stock = Normalization(epsilon=1e-5), keras.layers.LayerNormalization(epsilon=1e-5)
    for layer in (ours, stock):
        layer.build(shape)
        layer.gamma.assign(normal(shape[-1], seed=1))
        layer.beta.assign(normal(shape[-1], seed=2))
    inputs = 3.0 + normal(*shape)
    found = []
    for layer in (ours, stock):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            total = tf.reduce_sum(outputs * normal(*shape, seed=9))
        found.append([outputs, *tape.gradient(total, [inputs, layer.gamma.value, layer.beta.value])])
    assert_all_close(*found)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_meets_its_rate(rate):
    layer, inputs = Dropout(rate, seed=1), tf.ones([400, 501])
    outputs, gradient = gradients(lambda values: layer(values, training=True), inputs)
    kept = outputs.numpy() != 0
    deviation = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < 5 * deviation
    np.testing.assert_allclose(outputs.numpy()[kept], 1 / (1 - rate), rtol=1e-4)
    np.testing.assert_array_equal(gradient.numpy() != 0, kept)
    # Two elements share a random number; neither says anything about the other.
    even, odd = kept.reshape(-1, 2).T
    assert abs(np.corrcoef(even, odd)[0, 1]) < 5 / np.sqrt(len(even))
    assert (layer(inputs, training=True).numpy() != outputs.numpy()).any()


def test_no_dropout_where_there_should_be_none():
    inputs = normal(3, 5)
    assert Dropout(0.3)(inputs, training=False) is inputs
    assert Dropout(0.0)(inputs, training=True) is inputs


def attend_the_long_way(mask, queries, events, own=None):
    batch, count, heads, width = queries.shape
    keys = tf.broadcast_to(events[:, None], [batch, count, *events.shape[1:]])
    seen = tf.broadcast_to(mask, [batch, count, mask.shape[2]])
    if own is not None:
        keys = tf.concat([keys, own], 2)
        seen = tf.concat([seen, tf.ones(own.shape[:3], tf.bool)], 2)
    logits = tf.einsum("bthd,btld->bthl", queries, keys)
    weights = tf.nn.softmax(tf.where(seen[:, :, None], logits, -np.inf))
    return tf.einsum("bthl,btld->bthd", weights, keys)


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_attention_and_its_gradient(count, steps):
    """For few queries and for many, shared events alone and with vectors of a query's own."""
    queries, events = normal(4, count, 2, 8), normal(4, 6, 8, seed=1)
    mask = np.random.default_rng(2).random((4, 1, 6)) < 0.6
    mask[:, :, -1] = True
    inputs = [queries, events, *([normal(4, count, steps, 8, seed=3)] if steps else [])]
    assert_all_close(
        gradients(lambda queries, events, own=None: attend(queries, events, mask, own), *inputs),
        gradients(lambda *tensors: attend_the_long_way(mask, *tensors), *inputs),
    )


@pytest.mark.parametrize(("trajectories", "steps"), [(1, 0), (1, 2), (3, 2)])
@pytest.mark.parametrize("candidates", [1, 3, 60])
def test_states_may_be_projected_first(trajectories, steps, candidates):
    """With few candidates and with many, which take different ways."""
    sides = [
        WeightedStates(
            normal(2, trajectories, candidates, length, seed=length),
            normal(2, length, 4, seed=1),
            normal(2, trajectories, candidates, steps, seed=2),
            normal(2, trajectories, steps, 4, seed=3),
        )
        for length in (5, 7)
    ]
    kernels, constant = [normal(4, 10, seed=4), normal(4, 10, seed=5)], normal(2, 10, seed=6)
    expected = constant[:, None, None] + sum(
        np.matmul(side.total(), kernel) for side, kernel in zip(sides, kernels, strict=True)
    )
    np.testing.assert_allclose(project(sides, kernels, constant), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_items_prepared_once_rank_as_the_whole_model_does():
    """Over more batches than one block, the last of which is not full."""
    _, requests = random_logs(users=4 * BATCHES_A_BLOCK + 3)
    model = randomise(LcrSer(small_config()))
    batch, label = RequestWindows(requests, model.config)(tf.range(len(requests)))
    expected = pessimistic_rank(model(batch), label)
    np.testing.assert_array_equal(RankingEvaluator(model, requests, batch_size=4).ranks(), expected)
