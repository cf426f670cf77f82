"""Why an item got its score: attention's weights, and what an event is worth by taking it out."""

import numpy as np
import pytest
import tensorflow as tf

from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS
from model.data.windows import RequestWindows
from model.inspection.leave_one_out import leave_one_out
from model.lcr_ser import LcrSer
from model.registry import make_config
from tests.model.test_retrieval import SHAPE
from tests.support.random_logs import random_logs, randomise


@pytest.fixture(scope="module", params=[0, 2])
def model(request):
    return randomise(LcrSer(make_config({**SHAPE, "kind": "lcr_ser", "reasoning_steps": request.param})))


@pytest.fixture(scope="module")
def batch(model):
    return RequestWindows(random_logs()[1], model.config)(tf.range(6))[0]


def test_what_an_event_is_worth_is_the_score_less_that_without_it(model, batch):
    items = tf.constant([5, 9, 2, 30, 1, 41])
    rec, search = (part.numpy() for part in leave_one_out(model, batch, items))

    def score(**without):
        return model({**batch, **without, CANDIDATES: items[:, None]})[:, 0].numpy()

    whole = score()
    for column in range(SHAPE["rec_length"]):
        clicks = batch[REC_ITEMS].numpy()
        clicks[:, column] = 0
        np.testing.assert_allclose(rec[:, column], whole - score(rec_items=clicks), rtol=1e-4, atol=1e-5)
    for column in range(SHAPE["search_length"]):
        words, clicked = batch[SEARCH_WORDS].numpy(), batch[SEARCH_ITEMS].numpy()
        words[:, column], clicked[:, column] = 0, 0
        alone = score(search_words=words, search_items=clicked)
        np.testing.assert_allclose(search[:, column], whole - alone, rtol=1e-4, atol=1e-5)


def test_an_explanation_weighs_real_events_and_explains_the_score(model, batch):
    items = tf.constant([5, 9, 2, 30, 1, 41])
    found = model.explain(batch, items)
    np.testing.assert_allclose(found.score, model({**batch, CANDIDATES: items[:, None]})[:, 0], rtol=1e-5, atol=1e-5)
    clicks, searches = batch[REC_ITEMS].numpy() != 0, (batch[SEARCH_WORDS].numpy() != 0).any(2)
    searches |= (batch[SEARCH_ITEMS].numpy() != 0).any(2)
    assert (found.rec.numpy()[~clicks] == 0).all()
    assert (found.search.numpy()[~searches] == 0).all()
    total = found.rec.numpy().sum(1) + found.search.numpy().sum(1)
    np.testing.assert_allclose(total, clicks.any(1) | searches.any(1), atol=1e-5)
    embedded = model.embed({**batch, CANDIDATES: items[:, None]})
    weights = model.target_weights(embedded.candidates[:, 0], model.read(embedded), model.reason(model.read(embedded)))
    sides = np.concatenate([weights.rec.events, weights.search.events], 1)
    right = sides / np.maximum(sides.sum(1, keepdims=True), 1e-9)
    np.testing.assert_allclose(np.concatenate([found.rec, found.search], 1), right, rtol=1e-4, atol=1e-6)


def test_nearness_is_the_cosine_of_each_state_with_the_item(model, batch):
    items = tf.constant([5, 9, 2, 30, 1, 41])
    found, state = model.explain(batch, items), model.encode(batch)
    vectors = model.items.table.numpy()[items]
    steps = model.config.reasoning_steps
    for side, cosines in (("rec", found.rec_steps.numpy()), ("search", found.search_steps.numpy())):
        assert cosines.shape == (6, steps + 1 if steps else 0)
        for k in range(steps):
            step = state[f"{side}_steps"].numpy()[:, k]
            right = (step * vectors).sum(1) / np.linalg.norm(step, axis=1) / np.linalg.norm(vectors, axis=1)
            np.testing.assert_allclose(cosines[:, k + 1], right, rtol=1e-4, atol=1e-5)
