"""Which weights receive a gradient in each stage, and of which kind."""

import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS
from model.layers.embeddings import take_mean
from model.training import reinforcement
from tests.support.random_logs import random_batch, random_model, tensors
from tests.support.reference_weights import variables_of


@pytest.mark.parametrize("steps", [0, 2])
def test_empty_histories_give_finite_gradients(steps):
    model = random_model(reasoning_steps=steps)
    batch = {name: np.zeros_like(value) for name, value in random_batch(model.config).items()}
    with tf.GradientTape() as tape:
        logits = model(tensors({**batch, CANDIDATES: batch[CANDIDATES] + 3}))
    gradients = tape.gradient(logits, [variable.value for variable in model.trainable_variables])
    assert np.isfinite(logits).all()
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients if gradient is not None)


def test_gradient_of_no_word_at_all_is_zero():
    """TensorFlow leaves memory that others have used in the gradient of an empty mean: hence many tries."""
    for attempt in range(100):
        tf.fill([4096], float("nan")) + attempt  # freed at once
        rows, ids = tf.zeros([1, 32]), tf.zeros([4, 25, 2], tf.int32)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            means = take_mean(rows, ids, ids)
            total = tf.reduce_sum(means)
        gradient = tf.convert_to_tensor(tape.gradient(total, rows))
        np.testing.assert_array_equal(gradient, np.zeros([1, 32]))
        np.testing.assert_array_equal(means, np.zeros([4, 25, 32]))


def test_gradients_of_tables_are_sparse_over_distinct_rows():
    model = random_model()
    batch = random_batch(model.config)
    with tf.GradientTape() as tape:
        logits = model(tensors(batch))
    gradients = tape.gradient(logits, [layer.table.value for layer in model.tables])
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
    items_used = np.unique(np.concatenate([batch[name].ravel() for name in (REC_ITEMS, SEARCH_ITEMS, CANDIDATES)]))
    np.testing.assert_array_equal(np.sort(gradients[1].indices), items_used)


def weights_without_gradient(loss, variables):
    """Names of those of `variables` that `loss` gives no gradient, or one that is rounding alone."""
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in variables.values()])
    return {
        name
        for name, gradient in zip(variables, gradients, strict=True)
        if gradient is None or tf.reduce_max(tf.abs(tf.convert_to_tensor(gradient))) < 1e-7
    }


@pytest.mark.parametrize(
    "changes", [{}, {"post_norm": False}, {"literal_eq5": True}, {"reasoning_steps": 0, "aggregation": "mean"}], ids=str
)
def test_every_weight_learns_in_the_supervised_stage(changes):
    model = random_model(**changes)
    batch = tensors(random_batch(model.config, size=10))

    def loss():
        return model.losses(model.embed(batch), tf.ones([10, 7]), SupervisedConfig())["loss"]

    variables = {variable.path: variable for variable in model.trainable_variables}
    assert weights_without_gradient(loss, variables) == set()


@pytest.mark.parametrize("policy", ["softmax", "sigmoid"])
def test_every_dense_weight_learns_in_the_reinforcement_stage(policy):
    model = random_model()
    config = GrpoConfig(num_trajectories=6, noise_scale=3.0, policy=policy)
    trained = reinforcement.make_optimizer(model, config).sources
    variables = {
        name: variable
        for name, variable in variables_of(model).items()
        if any(variable.value is source for source in trained)
    }
    assert set(variables) == set(variables_of(model)) - {"users", "items", "words"}
    embedded = model.embed(tensors(random_batch(model.config, size=40)))
    noise = reinforcement.sample_noise(model, config, 40, tf.constant(0, tf.int64))

    def loss():
        logs, _ = reinforcement.group_objective(
            model,
            reinforcement.copy_policy(model),
            config,
            embedded,
            anchor=embedded,
            valid=tf.ones([40, 7], tf.bool),
            noise=noise,
        )
        return logs["loss"]

    # The last bias raises the logits of all candidates alike, which a softmax over them does not see.
    unseen = {"mlp/2/bias"} if policy == "softmax" else set()
    assert weights_without_gradient(loss, variables) == unseen
