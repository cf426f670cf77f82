"""Keras layers against the equations in NumPy, given the same weights: Eq. (1) to (8), (10) and (14)."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from model.layers.reasoning import Sides
from model.lcr_ser import LcrSer
from tests.support.random_logs import random_batch, random_config, random_model, randomise, tensors
from tests.support.reference import aggregation, embedding, encoding, grpo, reasoning, scoring
from tests.support.reference_weights import requests_of, settings_of, variables_of, weights_of

SWITCHES = pytest.mark.parametrize(
    "changes", [{}, {"post_norm": False}, {"literal_eq5": True, "num_heads": 4}, {"reasoning_steps": 1}], ids=str
)


def assert_close(ours, expected):
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-5)


def random_events(length, dim, seed):
    """Events `[B, L, d]` and a mask that pads on the left: a full, a short, an empty and a single-event history."""
    padding = np.array([0, length // 2, length, length - 1])
    events = np.random.default_rng(seed).normal(size=(4, length, dim)).astype(np.float32)
    return events, np.arange(length) >= padding[:, None]


def test_reference_stands_alone():
    folder = pathlib.Path(scoring.__file__).parent
    names = ", ".join(f"{scoring.__package__}.{path.stem}" for path in folder.glob("[!_]*.py"))
    check = f"import sys, {names}; sys.exit(bool({{'model', 'keras', 'tensorflow'}} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=folder.parents[2])


def test_every_weight_has_its_name_in_the_reference():
    model = random_model()
    assert {id(v) for v in variables_of(model).values()} == {id(v) for v in model.trainable_variables}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_model_of_random_sizes(seed):
    """Eq. (1) to (10) on full, short, single-event and empty histories, up to the logits."""
    config = random_config(seed)
    model = randomise(LcrSer(config), seed)
    batch = random_batch(config, size=5, candidates=4, seed=seed)
    weights, settings = weights_of(model), settings_of(config)
    expected = [scoring.logits(weights, request, **settings) for request in requests_of(batch)]
    assert_close(model(tensors(batch)), expected)


def test_embedding_of_histories():
    """Sections 3.2.1 and 3.2.2."""
    model = random_model()
    batch = random_batch(model.config, size=10)
    embedded, weights = model.embed(tensors(batch)), weights_of(model)
    ours = {
        "search": (model.search_positions(embedded.search).numpy(), embedded.search_mask.numpy()),
        "rec": (model.rec_positions(embedded.rec).numpy(), embedded.rec_mask.numpy()),
    }
    for row, request in enumerate(requests_of(batch)):
        expected = {
            "search": embedding.search_events(weights, request["searches"]),
            "rec": embedding.rec_events(weights, request["clicks"]),
        }
        for side, (events, mask) in ours.items():
            assert_close(events[row][mask[row]], np.reshape(expected[side], [-1, model.config.dim]))


@SWITCHES
def test_encoder(changes):
    """Eq. (1)."""
    model = random_model(**changes)
    config, weights = model.config, weights_of(model)
    events, mask = random_events(6, config.dim, seed=1)
    states, _ = model.reasoning.rec_encoder(events, mask)
    for row in range(4):
        expected = encoding.encode(weights, "rec", list(events[row][mask[row]]), config.num_heads, config.post_norm)
        assert_close(states[row][mask[row]], np.reshape(expected, [-1, config.dim]))


@SWITCHES
@pytest.mark.parametrize("cross", [True, False])
def test_reasoning(changes, cross):
    """Eq. (2) to (6) from noisy starts, Eq. (14), and without cross attention as Eq. (9) wants it."""
    model = random_model(**changes)
    settings, weights = settings_of(model.config), weights_of(model)
    search, search_mask = random_events(5, model.config.dim, seed=2)
    rec, rec_mask = (part[::-1] for part in random_events(6, model.config.dim, seed=3))
    epsilon = np.random.default_rng(4).normal(size=(2, 4, 3, model.config.dim)).astype(np.float32)
    noise = 0.5 * epsilon * np.array([0, 1, 1])[:, None]
    histories = model.reasoning.encode(search, search_mask, rec, rec_mask)
    steps = model.reasoning(histories, noise=Sides(*noise.astype(np.float32)), cross=cross)
    for row in range(4):
        events = {"search": list(search[row][search_mask[row]]), "rec": list(rec[row][rec_mask[row]])}
        starts = []
        for side, of_side in zip(("search", "rec"), epsilon, strict=True):
            states = encoding.encode(weights, side, events[side], settings["heads"], settings["post_norm"])
            starts.append(grpo.noisy_starts(reasoning.start(weights, side, states), of_side[row], 0.5))
        for trajectory, (search_start, rec_start) in enumerate(zip(*starts, strict=True)):
            expected = reasoning.reason(
                weights,
                events["search"],
                events["rec"],
                search_start,
                rec_start,
                cross=cross,
                **{name: value for name, value in settings.items() if name != "aggregate"},
            )
            assert_close(steps.search[row, trajectory], expected[0])
            assert_close(steps.rec[row, trajectory], expected[1])


@pytest.mark.parametrize("name", ["target", "mean"])
@pytest.mark.parametrize("num_steps", [0, 2])
def test_aggregation(name, num_steps):
    """Eq. (7) and (8), and the mean of Table 3 without TRA."""
    model = random_model(aggregation=name)
    weights = weights_of(model)
    states, mask = random_events(6, model.config.dim, seed=5)
    rng = np.random.default_rng(6)
    steps = rng.normal(size=(4, 3, num_steps, model.config.dim)).astype(np.float32)
    candidates = rng.normal(size=(4, 7, model.config.dim)).astype(np.float32)
    pooled = model.rec_attention(candidates, states, mask, steps)
    pooled = np.broadcast_to(pooled, (4, 3, 7, model.config.dim))
    for row, trajectory, column in np.ndindex(4, 3, 7):
        rows = reasoning.all_states(states[row][mask[row]], steps[row, trajectory])
        expected = (
            aggregation.attend_to_target(weights["rec/att"], rows, candidates[row, column])
            if name == "target"
            else aggregation.mean(rows, model.config.dim)
        )
        assert_close(pooled[row, trajectory, column], expected)


@pytest.mark.parametrize("units", [(), (5,), (12, 6, 3)], ids=str)
def test_scoring_head(units):
    """Eq. (10)."""
    model = random_model(mlp_units=units)
    weights, rng, dim = weights_of(model), np.random.default_rng(7), model.config.dim
    user, candidates = rng.normal(size=(2, dim)), rng.normal(size=(2, 4, dim))
    search, rec = rng.normal(size=(2, 2, 3, 4, dim))
    logits = model.head(*(part.astype(np.float32) for part in (user, search, rec, candidates)))
    for row, trajectory, column in np.ndindex(2, 3, 4):
        at = row, trajectory, column
        expected = scoring.score(weights, user[row], search[at], rec[at], candidates[row, column])
        assert_close(logits[at], expected)
