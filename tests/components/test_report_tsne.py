"""t-SNE keeps apart what points in different directions, whatever its length."""

import numpy as np
import pytest

from components.report.gather.tsne import tsne


@pytest.mark.slow
def test_directions_stay_together():
    rng = np.random.default_rng(1)
    directions = np.repeat(np.eye(6)[:3], 30, 0)
    vectors = directions + rng.normal(0, 0.05, directions.shape)
    lengths = 2.0 ** rng.integers(-3, 4, (90, 1))  # powers of two leave the digits as they are
    plane, stretched = tsne(vectors, 7), tsne(vectors * lengths, 7)
    np.testing.assert_array_equal(plane.points, stretched.points)
    assert plane.points.shape == (90, 2) and plane.perplexity == 89 / 3
    away = np.linalg.norm(plane.points[:, None] - plane.points[None], axis=2)
    np.fill_diagonal(away, np.inf)
    np.testing.assert_array_equal(away.argmin(1) // 30, np.arange(90) // 30)


@pytest.mark.slow
def test_perplexity_has_an_upper_end():
    assert tsne(np.random.default_rng(2).normal(size=(120, 4)), 7).perplexity == 30


def test_a_vector_of_zeros_has_a_place():
    vectors = np.random.default_rng(3).normal(size=(12, 4))
    vectors[5] = 0
    assert np.isfinite(tsne(vectors, 7).points).all()
