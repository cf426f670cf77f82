"""Distances of reasoning states against the paper's equations in NumPy, one request at a time."""

import dataclasses
import json

import numpy as np
import pytest

from components.report.gather import states
from components.report.gather.states import EDGES, reasoning_states
from components.report.gather.tsne import Plane
from model.contract import UNKNOWN_ID
from model.lcr_ser import LcrSer
from tests.support.plain_requests import plain_requests
from tests.support.random_logs import NUM_ITEMS, random_logs, random_model, randomise, small_config
from tests.support.reference import reasoning, scoring
from tests.support.reference_weights import settings_of, weights_of

STEPS = 2


@pytest.fixture(scope="module")
def model():
    return random_model(reasoning_steps=STEPS)


@pytest.fixture(scope="module")
def requests():
    """Candidates without repetition, as ExampleGen makes them."""
    _, found = random_logs(seed=5, users=12)
    rng = np.random.default_rng(5)
    candidates = np.stack([rng.permutation(np.arange(2, NUM_ITEMS))[:7] for _ in range(12)]).astype(np.int32)
    return dataclasses.replace(found, candidates=candidates, label=rng.integers(0, 7, 12).astype(np.int32))


@pytest.fixture
def quick(monkeypatch):
    """The first two dimensions of each vector, in the place of t-SNE."""
    monkeypatch.setattr(states, "tsne", lambda vectors, seed: Plane(vectors[:, :2], 4.0))


def _states(model, request, cross):
    """h^(0) to h^(K) of both sides."""
    weights, settings = weights_of(model), settings_of(model.config)
    search, rec, search_steps, rec_steps = scoring.reasoned(weights, request, cross=cross, **settings)
    return {
        "search": [reasoning.start(weights, "search", search), *search_steps],
        "rec": [reasoning.start(weights, "rec", rec), *rec_steps],
    }


def _cosine_distance(a, b):
    return 1 - (a @ b) / np.sqrt((a @ a) * (b @ b))


def _expected(model, requests, rows, side, cross):
    """Distances and shares, a list for each request with a value for each step."""
    items, plain = weights_of(model)["items"], plain_requests(requests, model.config)
    distances, shares = [], []
    for row in rows:
        candidates, label = plain[row]["candidates"], requests.label[row]
        of_request = [
            [_cosine_distance(state, items[item]) for item in candidates]
            for state in _states(model, plain[row], cross)[side]
        ]
        distances.append([step[label] for step in of_request])
        shares.append([sum(other > step[label] for other in step) / (len(step) - 1) for step in of_request])
    return distances, shares


@pytest.mark.parametrize("side", ["search", "rec"])
@pytest.mark.parametrize(("name", "cross"), [("crossed", True), ("plain", False)])
def test_distances_are_those_of_the_equations(model, requests, quick, monkeypatch, side, name, cross):
    monkeypatch.setattr(states, "BATCH", 5)  # several, the last one smaller
    found = reasoning_states(model, requests)
    assert (found["requests"], found["unknown_targets"], found["reasoning_steps"]) == (12, 0, STEPS)
    assert (np.diff(requests.search_offsets) == 0).any()  # one without searches is among them
    distances, shares = _expected(model, requests, range(12), side, cross)
    figures = found["sides"][side][name]
    np.testing.assert_allclose(figures["distance"], np.mean(distances, 0), atol=1.5e-4)
    np.testing.assert_allclose(figures["closer"], np.mean(shares, 0), atol=1.5e-4)
    edges = found["edges"]
    counts = [
        [sum(low <= one[step] < high for one in distances) for low, high in zip(edges, edges[1:], strict=False)]
        for step in range(STEPS + 1)
    ]
    assert figures["counts"] == counts
    json.dumps(found, allow_nan=False)


def test_bins_hold_every_distance_there_is():
    assert EDGES[0] == 0 and EDGES[-1] == 2
    beyond = np.array([[-1e-7], [2.0000002]], np.float32)
    counts = states._figures(states.StateDistances(beyond, beyond, beyond))["counts"]
    assert counts == [[1, *[0] * 38, 1]]


def test_requests_are_spread_evenly(model, requests, quick):
    found = reasoning_states(model, requests, max_requests=3)
    distances, _ = _expected(model, requests, (0, 5, 11), "rec", cross=True)
    assert found["requests"] == 3
    np.testing.assert_allclose(found["sides"]["rec"]["crossed"]["distance"], np.mean(distances, 0), atol=1.5e-4)


def test_unknown_targets_are_left_out_and_counted(model, requests, quick):
    candidates = requests.candidates.copy()
    candidates[[1, 4], requests.label[[1, 4]]] = UNKNOWN_ID
    # An unknown item that is not the target is a candidate like any other.
    candidates[6, (requests.label[6] + 1) % 7] = UNKNOWN_ID
    changed = dataclasses.replace(requests, candidates=candidates)
    found = reasoning_states(model, changed)
    assert (found["requests"], found["unknown_targets"]) == (10, 2)
    rows = [row for row in range(12) if row not in (1, 4)]
    distances, shares = _expected(model, changed, rows, "search", cross=True)
    np.testing.assert_allclose(found["sides"]["search"]["crossed"]["distance"], np.mean(distances, 0), atol=1.5e-4)
    np.testing.assert_allclose(found["sides"]["search"]["crossed"]["closer"], np.mean(shares, 0), atol=1.5e-4)


def test_nothing_is_said_without_steps_or_known_targets(model, requests):
    assert reasoning_states(random_model(reasoning_steps=0), requests) is None
    unknown = dataclasses.replace(requests, candidates=np.full_like(requests.candidates, UNKNOWN_ID))
    assert reasoning_states(model, unknown) is None


def test_cross_attention_moves_the_crossed_states_alone(model, requests, quick):
    other = randomise(LcrSer(small_config(reasoning_steps=STEPS)))
    for layer in (other.reasoning.search_cross, other.reasoning.rec_cross):
        layer.key_value.kernel.assign(-2 * layer.key_value.kernel)
    before, after = (reasoning_states(one, requests)["sides"] for one in (model, other))
    for side in ("search", "rec"):
        assert before[side]["plain"] == after[side]["plain"]
        assert before[side]["crossed"]["distance"][0] == after[side]["crossed"]["distance"][0]
        assert (
            abs(np.subtract(before[side]["crossed"]["distance"], after[side]["crossed"]["distance"]))[1:].min() > 0.01
        )


def test_points_are_of_the_states_and_items_that_they_are_said_to_be_of(model, requests, quick):
    tsne = reasoning_states(model, requests)["tsne"]
    assert tsne["perplexity"] == 4.0
    items = weights_of(model)["items"]
    for row, request in enumerate(plain_requests(requests, model.config)):
        target = items[request["candidates"][requests.label[row]]]
        np.testing.assert_allclose(tsne["points"]["target"][row], target[:2], atol=1e-3)
        for side, of_side in _states(model, request, cross=True).items():
            for step, state in enumerate(of_side):
                np.testing.assert_allclose(tsne["points"][side][step][row], state[:2], atol=1e-3)


def test_few_points_are_drawn_where_steps_are_many(model, requests, quick, monkeypatch):
    monkeypatch.setattr(states, "TSNE_POINTS", 39)
    points = reasoning_states(model, requests)["tsne"]["points"]
    assert len(points["target"]) == 39 // (2 * (STEPS + 1) + 1) == 5
    assert np.shape(points["search"]) == np.shape(points["rec"]) == (STEPS + 1, 5, 2)


def test_five_requests_are_enough_and_give_the_same_again(model, requests):
    found = [reasoning_states(model, requests, max_requests=5)["tsne"] for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]["perplexity"] == round((5 * (2 * (STEPS + 1) + 1) - 1) / 3, 3)
    assert np.shape(found[0]["points"]["target"]) == (5, 2)
    assert np.isfinite(found[0]["points"]["search"]).all() and np.ptp(found[0]["points"]["rec"]) > 0
