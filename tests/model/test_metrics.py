"""Ranks of all candidates."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from model.objectives.metrics import pessimistic_ranks

SCORES = st.sampled_from(
    [
        -np.inf,
        -3.0,
        np.finfo(np.float32).min,
        0.0,
        0.5,
        np.float32(0.5) + 2**-24,
        7.0,
        np.inf,
        np.finfo(np.float32).max,
        np.nan,
    ]
)


IN_A_GRAPH = tf.function(pessimistic_ranks, autograph=False, reduce_retracing=True)


@pytest.mark.slow
@settings(deadline=None)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=SCORES))
def test_a_rank_counts_all_candidates_that_are_not_lower(scores):
    expected = [[sum(not other < one for other in row) for one in row] for row in scores]
    for ranks in (pessimistic_ranks, IN_A_GRAPH):
        np.testing.assert_array_equal(ranks(tf.constant(scores)), expected)


def test_many_candidates_take_no_square_of_memory():
    """Compared with each other they would ask for 1.6 TB."""
    scores = np.random.default_rng(0).permutation(400_000).astype(np.float32)[None]
    np.testing.assert_array_equal(pessimistic_ranks(tf.constant(scores)), 400_000 - scores)
