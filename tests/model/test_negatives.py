"""Negatives: distinct, none of the user's own, and drawn as one draws without replacement."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.contract import FIRST_KNOWN_ID, PADDING_ID, SEARCH_TARGET_FEATURES, UNKNOWN_ID
from model.data.columns import offsets
from model.data.negatives import NegativeSampler
from model.data.timelines import Timelines

SAMPLING, AVOID = ("uniform", "popularity"), ("clicked", "none")


def timelines_of(clicks, searches):
    """A log of users' clicks, and of the items that they clicked in each of their searches."""
    found = [items for of_user in searches for items in of_user]
    rec_items = np.array([item for of_user in clicks for item in of_user], np.int32)
    nothing = np.zeros_like(rec_items)
    return Timelines(
        users=np.arange(2, 2 + len(clicks), dtype=np.int32),
        rec_items=rec_items,
        rec_offsets=offsets(np.array([len(of_user) for of_user in clicks])),
        search_offsets=offsets(np.array([len(of_user) for of_user in searches])),
        search_words=np.zeros(0, np.int32),
        word_offsets=offsets(np.zeros(len(found), np.int32)),
        search_items=np.array([item for items in found for item in items], np.int32),
        item_offsets=offsets(np.array([len(items) for items in found], np.int32)),
        rec_clicks_before=nothing,
        rec_searches_before=nothing,
        rec_is_target=nothing + 1,
        **dict.fromkeys(SEARCH_TARGET_FEATURES, np.zeros(len(found), np.int32)),
    )


def draw(timelines, positions, *, count, step=0, seed=5, sampling="uniform", avoid="clicked"):
    candidates, valid = NegativeSampler(timelines, sampling, avoid, count, seed)(
        tf.constant(step, tf.int64), tf.constant(positions, tf.int32)
    )
    return candidates.numpy(), valid.numpy()


items = st.integers(UNKNOWN_ID, 30)
a_user = st.tuples(st.lists(items, max_size=6), st.lists(st.lists(items, max_size=3), max_size=3))
logs = st.lists(a_user, min_size=1, max_size=5).filter(
    lambda users: any(item >= FIRST_KNOWN_ID for clicks, _ in users for item in clicks)
)


@settings(max_examples=60, deadline=None)
@given(logs, st.integers(1, 12), st.integers(0, 100), st.sampled_from(SAMPLING), st.sampled_from(AVOID))
def test_negatives_are_distinct_and_none_of_the_users_own(users, count, step, sampling, avoid):
    timelines = timelines_of(*zip(*users, strict=True))
    pool = {item for clicks, _ in users for item in clicks if item >= FIRST_KNOWN_ID}
    candidates, valid = draw(timelines, timelines.targets, count=count, step=step, sampling=sampling, avoid=avoid)
    assert candidates.shape == valid.shape == (len(timelines.targets), 1 + count)
    column = 0
    for clicks, searches in users:
        for target in clicks:
            own = {target}.union(*([clicks, *searches] if avoid == "clicked" else []))
            row, takes_part = candidates[column], valid[column]
            negatives = row[1:][takes_part[1:]]
            assert row[0] == target and takes_part[0]
            assert len(set(negatives)) == len(negatives)
            assert set(negatives) <= pool - own
            # What is missing stands last, as padding.
            np.testing.assert_array_equal(np.sort(takes_part)[::-1], takes_part)
            np.testing.assert_array_equal(row[~takes_part], PADDING_ID)
            column += 1


@pytest.mark.parametrize("sampling", SAMPLING)
def test_none_is_missing_where_many_are_left(sampling):
    own = [[2, 3, 4], [5] * 20]
    timelines = timelines_of([*own, list(range(2, 402))], [[[6, 7]], [], []])
    candidates, valid = draw(timelines, np.arange(23), count=99, sampling=sampling)
    assert valid.all()
    assert all(len(np.unique(row)) == 100 for row in candidates)


def test_a_user_who_clicked_all_but_one_item_has_one_negative():
    timelines = timelines_of([[2, 4], [2, 3, 2, UNKNOWN_ID]], [[], []])
    candidates, valid = draw(timelines, [0, 3], count=4)
    np.testing.assert_array_equal(candidates, [[2, 3, 0, 0, 0], [3, 4, 0, 0, 0]])
    np.testing.assert_array_equal(valid, candidates > 0)


def inclusion(weights, count):
    """Chance of each item to be among `count` drawn one after another, each in proportion to what is left."""
    chances = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), count):
        chance, left = 1.0, sum(weights)
        for item in order:
            chance *= weights[item] / left
            left -= weights[item]
        chances[list(order)] += chance
    return chances


@pytest.mark.parametrize("avoid", AVOID)
@pytest.mark.parametrize("sampling", SAMPLING)
def test_the_draw_is_one_without_replacement(sampling, avoid):
    # The first user's target is 2; 3 was clicked later and 4 in a search.
    others = [2] * 4 + [3] * 2 + [4] * 3 + [5] * 8 + [6] * 4 + [7] * 2 + [8]
    timelines = timelines_of([[2, 3], others], [[[], [4]], []])
    left = [3, 4, 5, 6, 7, 8] if avoid == "none" else [5, 6, 7, 8]
    clicks = np.bincount(timelines.rec_items)
    weights = [int(clicks[item]) if sampling == "popularity" else 1 for item in left]
    rows, count = 20_000, 2
    candidates, valid = draw(timelines, np.zeros(rows), count=count, sampling=sampling, avoid=avoid)
    assert valid.all()
    for drawn, expected in (
        (candidates[:, 1:], inclusion(weights, count)),
        (candidates[:, 1], np.array(weights) / sum(weights)),
    ):
        shares = np.array([np.sum(drawn == item) for item in left]) / rows
        # Five standard deviations of a share.
        np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / rows**0.5)


def test_seed_and_step_decide_what_is_drawn():
    timelines = timelines_of([list(range(2, 60))[::2], list(range(3, 60))[::2]], [[], []])
    first, *others = (
        draw(timelines, [0, 40], count=8, seed=seed, step=step)[0] for seed, step in ((5, 7), (5, 8), (6, 7))
    )
    np.testing.assert_array_equal(draw(timelines, [0, 40], count=8, seed=5, step=7)[0], first)
    assert all((other != first).any() for other in others)


def test_a_log_without_a_known_item_is_refused():
    with pytest.raises(ValueError, match="`timelines` should hold at least one click on a known item"):
        draw(timelines_of([[UNKNOWN_ID]], [[]]), [0], count=1)
