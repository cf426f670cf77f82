"""Histories of every kind, by the windows that training and serving cut, against the equations in NumPy."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from model.data.columns import offsets
from model.data.requests import Requests
from model.data.windows import RequestWindows
from tests.support.random_logs import random_model
from tests.support.reference import scoring
from tests.support.reference_weights import settings_of, weights_of

# (clicks, searches), oldest first. The limits of `small_config` are 6 clicks, and 5 searches of 4 words and 3 clicks.
HISTORIES = {
    "both empty": ([], []),
    "empty search history": ([5, 6, 7], []),
    "empty recommendation history": ([], [([2, 3], [4])]),
    "one click": ([7], []),
    "one search": ([], [([2], [])]),
    "searches without clicks": ([5], [([2, 3], []), ([4], [])]),
    "searches without words": ([5], [([], [8, 9]), ([], [4])]),
    "an older search with neither": ([5], [([2], [6]), ([], []), ([3], [7])]),
    "the newest search with neither": ([5], [([2], [6]), ([3], [7]), ([], [])]),
    "unknown ids": ([1, 1, 6], [([1, 2], [1])]),
    "more than the limits": ([*range(2, 22)], [([*range(2, 9)], [*range(10, 10 + at)]) for at in range(9)]),
}


def requests_from(histories, candidates):
    """A stored request for each history."""

    def flat(lists):
        return np.array([one for part in lists for one in part], np.int32)

    def begins(lists):
        return offsets(np.array([len(one) for one in lists], np.int32))

    clicks, searches = zip(*histories, strict=True)
    words, found = ([search[field] for of_user in searches for search in of_user] for field in (0, 1))
    return Requests(
        users=np.arange(1, 1 + len(histories), dtype=np.int32),
        rec_items=flat(clicks),
        rec_offsets=begins(clicks),
        search_offsets=begins(searches),
        search_words=flat(words),
        word_offsets=begins(words),
        search_items=flat(found),
        item_offsets=begins(found),
        candidates=candidates,
        label=np.zeros(len(histories), np.int32),
    )


@functools.cache
def logits_of_histories(num_steps):
    """Logits of all `HISTORIES` in one ragged batch, by the windows that training and serving cut."""
    model = random_model(reasoning_steps=num_steps)
    candidates = np.random.default_rng(8).integers(1, model.config.num_items, (len(HISTORIES), 4)).astype(np.int32)
    requests = requests_from(HISTORIES.values(), candidates)
    batch, _ = RequestWindows(requests, model.config)(tf.range(len(HISTORIES)))
    return dict(zip(HISTORIES, zip(requests.users, candidates, model(batch).numpy(), strict=True), strict=True))


@pytest.mark.parametrize("num_steps", [0, 2])
@pytest.mark.parametrize("name", HISTORIES)
def test_histories_of_every_kind(name, num_steps):
    """The reference is given the newest events alone, of each search the first words and clicks."""
    model = random_model(reasoning_steps=num_steps)
    user, candidates, logits = logits_of_histories(num_steps)[name]
    clicks, searches = HISTORIES[name]
    request = {
        "user": user,
        "clicks": clicks[-6:],
        "searches": [(words[:4], found[:3]) for words, found in searches[-5:]],
        "candidates": candidates,
    }
    expected = scoring.logits(weights_of(model), request, **settings_of(model.config))
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=1e-5)
