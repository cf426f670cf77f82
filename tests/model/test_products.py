"""No graph holds a product of matrices that oneDNN computes wrongly."""

import numpy as np
import pytest
import tensorflow as tf

from model.config import GrpoConfig, SupervisedConfig
from model.evaluation.evaluator import RankingEvaluator
from model.ops.products import FEW, inner, mix
from model.training import reinforcement, supervised
from tests.support.products_of import products, unsafe
from tests.support.random_logs import random_batch, random_logs, random_model, small_config, tensors


@pytest.mark.parametrize(
    ("left", "right", "wrong"),
    [
        ((2, 1, 60, 4), (4, 10), True),
        ((None, 1, None, 4), (1, 1, 4, 10), True),
        ((2, 3, 60, 4), (3, 4, 10), True),
        ((2, 6, 1, 4), (2, 1, 4, 10), False),
        ((None, 6, 1, 4), (None, 1, 4, 10), False),
        ((1, 1, 60, 4), (1, 1, 4, 10), False),
        ((2, 60, 4), (1, 4, 10), False),
    ],
    ids=str,
)
def test_what_is_unsafe_is_found(left, right, wrong):
    @tf.function(autograph=False)
    def multiply(one, other):
        return tf.matmul(one, other)

    with products() as found:
        multiply.get_concrete_function(tf.TensorSpec(left), tf.TensorSpec(right))
    assert len(found) == 1
    assert bool(unsafe(found)) == wrong


@pytest.mark.long
@pytest.mark.parametrize(("aggregation", "negatives"), [("target", 30), ("mean", 2)])
def test_training_and_evaluation_hold_no_unsafe_product(tmp_path, aggregation, negatives):
    """Both stages with their gradients, with few candidates and with many."""
    timelines, requests = random_logs(candidates=negatives + 1)
    config = small_config(aggregation=aggregation)
    with products() as found:
        model = supervised.train(
            config,
            SupervisedConfig(batch_size=8, max_steps=1, max_epochs=1, num_negatives=negatives),
            timelines,
            requests,
            checkpoint_dir=str(tmp_path / "supervised"),
            log_dir=str(tmp_path / "logs"),
        )
        of_supervised = len(found)
        reinforcement.train(
            model,
            GrpoConfig(batch_size=8, max_steps=1, num_negatives=negatives, trained="all"),
            timelines,
            requests,
            checkpoint_dir=str(tmp_path / "grpo"),
            log_dir=str(tmp_path / "logs"),
        )
    assert 0 < of_supervised < len(found)
    assert unsafe(found) == []


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["target", "mean"])
@pytest.mark.long
def test_models_of_any_batch_hold_no_unsafe_product(aggregation):
    """As the servable and the full catalogue trace them: sizes of batch and candidates are open."""
    model = random_model(aggregation=aggregation)
    batch = tensors(random_batch(model.config))
    candidates = batch.pop("candidates")
    open_batch = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in batch.items()}
    state = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in model.encode(batch).items()}
    with products() as found:
        tf.function(model.encode, autograph=False).get_concrete_function(open_batch)
        score = tf.function(lambda state, items: model.score(state, model.prepare(items)), autograph=False)
        score.get_concrete_function(state, tf.TensorSpec([None, None], tf.int32))
        RankingEvaluator(model, random_logs()[1], batch_size=8).ranks()
        model({**batch, "candidates": candidates}, training=True)
    assert found
    assert unsafe(found) == []


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_products_with_the_events_of_a_row(count):
    random = np.random.default_rng(0)
    queries, events = (random.normal(size=shape).astype(np.float32) for shape in ((3, count, 4), (3, 6, 4)))
    weights = np.einsum("bqd,bld->bql", queries, events)
    np.testing.assert_allclose(inner(tf.constant(queries), tf.constant(events)), weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        mix(tf.constant(weights), tf.constant(events)), np.einsum("bql,bld->bqd", weights, events), rtol=1e-5, atol=1e-5
    )
