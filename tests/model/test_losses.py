"""Losses where they could overflow, and metrics by hand. The losses' values are compared in `test_objectives.py`."""

import math

import numpy as np
import pytest
import tensorflow as tf

from model.objectives.losses import contrastive_loss, recommendation_loss
from model.objectives.metrics import hit_ratio, ndcg, pessimistic_rank


def test_recommendation_loss_of_huge_logits_is_finite():
    assert float(recommendation_loss(tf.constant([[-1e4, 1e4]]), tf.ones([1, 2]))) == pytest.approx(1e4)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_contrastive_loss_has_a_finite_gradient_where_all_vectors_are_zero(distance):
    zero = tf.zeros([2, 4])
    with tf.GradientTape() as tape:
        tape.watch(zero)
        loss = contrastive_loss(zero, zero, zero, 0.1, distance)
    assert np.isfinite(tape.gradient(loss, zero)).all()


@pytest.mark.parametrize(
    ("scores", "label", "rank"),
    [
        ([3.0, 1.0, 2.0], 0, 1),
        ([3.0, 1.0, 2.0], 1, 3),
        ([1.0, 1.0, 1.0], 1, 3),  # ties count against the positive
        ([math.inf, math.inf, 0.0], 0, 2),
        ([math.nan, 1.0, 2.0], 0, 3),
        ([1.0, math.nan, 0.0], 0, 2),
    ],
)
def test_pessimistic_rank(scores, label, rank):
    assert int(pessimistic_rank(tf.constant(scores), tf.constant(label))) == rank
    batched = pessimistic_rank(tf.constant([[scores] * 3] * 2), tf.fill([2, 3], label))
    np.testing.assert_array_equal(batched, np.full((2, 3), rank))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_hit_ratio_and_ndcg_of_ranks(k):
    ranks = np.arange(1, 13)
    np.testing.assert_array_equal(hit_ratio(ranks, k), [1.0 if rank <= k else 0.0 for rank in ranks])
    expected = [1 / math.log2(1 + rank) if rank <= k else 0.0 for rank in ranks]
    np.testing.assert_allclose(ndcg(ranks, k), expected, rtol=1e-6)
