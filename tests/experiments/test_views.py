"""What a system sees of its histories, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.views import View, keep_searches, look_through, shuffle
from model.contract import REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from model.registry import make_config, make_ranker

B, LR, LS, W, M = 64, 9, 7, 3, 2


@pytest.fixture
def batch():
    """Histories of all lengths, none among them; every event unlike every other one."""
    random = np.random.default_rng(1)
    clicks, searches = random.integers(0, LR + 1, B), random.integers(0, LS + 1, B)
    rec = np.arange(LR)[None] >= LR - clicks[:, None]
    search = np.arange(LS)[None] >= LS - searches[:, None]
    return {
        USER: np.arange(B, dtype=np.int32) % 8 + 2,
        REC_ITEMS: np.where(rec, 2 + np.arange(B * LR).reshape(B, LR) % 97, 0).astype(np.int32),
        REC_TIMES: np.where(rec, 1000 * np.arange(1, LR + 1), 0),
        SEARCH_WORDS: np.where(search[..., None], 2 + np.arange(B * LS * W).reshape(B, LS, W) % 89, 0).astype(np.int32),
        SEARCH_ITEMS: np.where(search[..., None], 2 + np.arange(B * LS * M).reshape(B, LS, M) % 83, 0).astype(np.int32),
        SEARCH_TIMES: np.where(search, 500 * np.arange(1, LS + 1), 0),
    }


def tensors(batch):
    return {name: tf.constant(values) for name, values in batch.items()}


def test_shuffling_keeps_the_events_and_the_padding_and_leaves_times_alone(batch):
    shuffled = {name: values.numpy() for name, values in shuffle(tensors(batch)).items()}
    assert set(shuffled) == {REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS}
    moved = 0
    for row in range(B):
        before, after = batch[REC_ITEMS][row], shuffled[REC_ITEMS][row]
        assert sorted(before) == sorted(after)
        assert ((before == 0) == (after == 0)).all()
        moved += (before != after).any()
        # Words and items of a search move together.
        events = [
            tuple(map(tuple, pair)) for pair in zip(batch[SEARCH_WORDS][row], batch[SEARCH_ITEMS][row], strict=True)
        ]
        others = [
            tuple(map(tuple, pair))
            for pair in zip(shuffled[SEARCH_WORDS][row], shuffled[SEARCH_ITEMS][row], strict=True)
        ]
        assert sorted(events) == sorted(others)
        assert [one == events[0] for one in others][: LS - (batch[SEARCH_TIMES][row] > 0).sum()].count(False) == 0
    assert moved > B * 0.6  # all but the rows of no click, of one, and the luck of the others


def test_orders_of_rows_are_drawn_apart(batch):
    same = {REC_ITEMS: np.tile(np.arange(2, 2 + LR, dtype=np.int32), (B, 1))}
    found = shuffle(tensors(same))[REC_ITEMS].numpy()
    assert len({tuple(row) for row in found}) > B - 3
    # Each item stands last about as often as any other: a chi-square of 9 places in 64 draws stays below 30.
    last = np.bincount(found[:, -1] - 2, minlength=LR)
    assert ((last - B / LR) ** 2 / (B / LR)).sum() < 30


def test_searches_that_are_left_out_give_way_to_padding_on_the_left(batch):
    kept = (np.arange(B * LS).reshape(B, LS) % 3 == 0) & (batch[SEARCH_TIMES] > 0)
    found = {name: values.numpy() for name, values in keep_searches(tensors(batch), tf.constant(kept)).items()}
    assert set(found) == {SEARCH_WORDS, SEARCH_ITEMS, SEARCH_TIMES}
    for name, values in found.items():
        expected = np.zeros_like(batch[name])
        for row in range(B):
            own = batch[name][row][kept[row]]
            expected[row, LS - len(own) :] = own
        np.testing.assert_array_equal(values, expected)


SHAPE = dict(num_users=10, num_items=100, num_words=100, dim=8, rec_length=LR, search_length=LS)
SHAPE |= dict(words_per_search=W, items_per_search=M)


def test_searches_are_kept_by_their_cosine_with_the_mean_of_the_clicks(batch):
    reference, model = (make_ranker(make_config({**SHAPE, "kind": "unisar"})) for _ in range(2))
    seen = {}
    model.embed = seen.update
    look_through(model, View(searches_above=0.1), reference)
    model.embed(tensors(batch))
    items, words = (
        next(layer.table.numpy() for layer in reference.tables if layer.name == name) for name in ("items", "words")
    )

    def mean(table, ids):
        own = ids[ids > 0]
        return table[own].mean(0) if len(own) else np.zeros(table.shape[1])

    counts = []
    for row in range(B):
        clicks = mean(items, batch[REC_ITEMS][row])
        own = []
        for asked, clicked in zip(batch[SEARCH_WORDS][row], batch[SEARCH_ITEMS][row], strict=True):
            vector = mean(words, asked) + mean(items, clicked)
            lengths = np.linalg.norm(vector) * np.linalg.norm(clicks)
            if asked.any() and (vector @ clicks / lengths if lengths else 0.0) > 0.1:
                own.append(asked)
        expected = np.zeros((LS, W), np.int32)
        expected[LS - len(own) :] = np.array(own).reshape(-1, W)
        np.testing.assert_array_equal(seen[SEARCH_WORDS][row], expected)
        counts.append(len(own))
    assert 0 < sum(counts) < (batch[SEARCH_TIMES] > 0).sum()


@pytest.mark.parametrize("kind", ["gru4rec", "sasrec", "unisar", "lcr_ser"])
def test_a_model_encodes_what_the_view_shows(kind, batch):
    model = make_ranker(make_config({**SHAPE, "kind": kind}))
    plain = model.encode(tensors(batch))
    look_through(model, View(shuffled=True))
    changed = model.encode(tensors(batch))
    differs = [
        not np.allclose(one, other)
        for one, other in zip(tf.nest.flatten(plain), tf.nest.flatten(changed), strict=True)
        if one.dtype.is_floating
    ]
    assert any(differs)


def test_no_searches_are_those_of_a_user_who_never_searched(batch):
    model = make_ranker(make_config({**SHAPE, "kind": "unisar"}))
    none = {name: np.zeros_like(values) if "search" in name else values for name, values in batch.items()}
    expected = model.encode(tensors(none))
    look_through(model, View(searches_above=1.0))
    found = model.encode(tensors(batch))
    for one, other in zip(tf.nest.flatten(expected), tf.nest.flatten(found), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threshold", [-1.5, 1.01])
def test_a_threshold_that_no_cosine_has_is_refused(threshold):
    with pytest.raises(ValueError, match=f"should be from -1 to 1. Received: {threshold}"):
        View(searches_above=threshold)
