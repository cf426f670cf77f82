"""Draws without a state: known numbers, the same for a key in whatever company, and the distributions they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic_logs.simulator.draws import Draws, _mixed, more


def test_the_mixing_is_splitmix64():
    # First outputs of SplitMix64 from state 0, as published with Java's SplittableRandom and xoshiro's seeding.
    state = np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A], np.uint64)
    assert [hex(value) for value in _mixed(state)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20), st.integers(0, 2**31), st.data())
def test_a_draw_depends_on_its_key_alone(keys, seed, data):
    whole = Draws(seed).uniform("what", np.array(keys))
    place = data.draw(st.integers(0, len(keys) - 1))
    assert Draws(seed).uniform("what", np.array(keys[place : place + 1])) == whole[place]
    assert ((0 <= whole) & (whole < 1)).all()


def test_purposes_seeds_neighbours_and_second_keys_differ():
    key = np.arange(1000)
    draws = [
        Draws(1).uniform("one", key),
        Draws(1).uniform("two", key),
        Draws(2).uniform("one", key),
        Draws(1).uniform("one", key + 1),
        Draws(1).uniform("one", key, key * 0),
        Draws(1).uniform("one", key * 0, key),
    ]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 5 / np.sqrt(len(key))  # five standard errors


@pytest.mark.parametrize(
    ("name", "draw", "mean", "variance"),
    [
        ("uniform", lambda draws, key: draws.uniform("x", key), 1 / 2, 1 / 12),
        ("normal", lambda draws, key: draws.normal("x", key), 0.0, 1.0),
        ("integers", lambda draws, key: draws.integers("x", 6, key), 2.5, 35 / 12),
        ("choice", lambda draws, key: draws.choice("x", (0.2, 0.5, 0.3), key), 1.1, 0.49),
        ("geometric", lambda draws, key: more(draws.uniform("x", key), 0.31), 0.31 / 0.69, 0.31 / 0.69**2),
    ],
)
def test_means(name, draw, mean, variance):
    count = 200_000
    drawn = draw(Draws(7), np.arange(count))
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / count)


def test_no_more_where_there_is_no_chance():
    assert not more(np.array([0.0, 0.5, 0.999]), 0.0).any()
