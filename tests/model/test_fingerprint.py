"""The fingerprint of a training: the same for equal inputs wherever they come from, another after any one change."""

import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.config import GrpoConfig, LcrSerConfig, SupervisedConfig
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.training.fingerprint import training_fingerprint
from tests.support.random_logs import random_logs, small_config

LOGS = random_logs(users=9)
WEIGHTS = [np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in ((3, 4), (4,), ())]
SETTINGS = (small_config(), GrpoConfig())
BEFORE = training_fingerprint(*LOGS, SETTINGS, "code", WEIGHTS)


def with_one_change(array, index):
    changed = array.copy()
    changed.flat[index % array.size] += 1
    return changed


def test_equal_inputs_give_the_same_name():
    logs, weights = copy.deepcopy(LOGS), [weight.T.copy().T for weight in WEIGHTS]
    again = (LcrSerConfig(**dataclasses.asdict(SETTINGS[0])), GrpoConfig())
    assert training_fingerprint(*logs, again, "code", weights) == BEFORE
    assert len(BEFORE) == 32


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_element_of_any_array_counts(data):
    owner = data.draw(st.sampled_from([0, 1, 2]))
    index = data.draw(st.integers(0, 10**6))
    timelines, requests, weights = *LOGS, list(WEIGHTS)
    if owner == 2:
        which = data.draw(st.integers(0, len(weights) - 1))
        weights[which] = with_one_change(weights[which], index)
    else:
        field = data.draw(st.sampled_from([field.name for field in dataclasses.fields(LOGS[owner])]))
        changed = dataclasses.replace(LOGS[owner], **{field: with_one_change(getattr(LOGS[owner], field), index)})
        timelines, requests = (changed, requests) if owner == 0 else (timelines, changed)
    assert training_fingerprint(timelines, requests, SETTINGS, "code", weights) != BEFORE


def another(config, name):
    """The same settings but for one, which may get a value that the class would refuse."""
    value, changed = getattr(config, name), copy.copy(config)
    if isinstance(value, (bool, int, float)):
        value = value + 1
    elif isinstance(value, dict):
        value = {**value, "more": 1.0}
    else:
        value = value + type(value)("1")
    object.__setattr__(changed, name, value)
    return changed


@pytest.mark.parametrize(
    "config", [small_config(), SupervisedConfig(), GrpoConfig()], ids=["model", "supervised", "grpo"]
)
def test_every_setting_counts(config):
    names = [field.name for field in dataclasses.fields(config)]
    found = {training_fingerprint(*LOGS, [another(config, name)], "code") for name in names}
    assert len(found | {training_fingerprint(*LOGS, [config], "code")}) == len(names) + 1


def test_the_code_counts_and_so_does_which_setting_is_whose():
    assert training_fingerprint(*LOGS, SETTINGS, "other code", WEIGHTS) != BEFORE
    assert training_fingerprint(*LOGS, SETTINGS[1:], "code", WEIGHTS) != BEFORE
    assert training_fingerprint(*LOGS, SETTINGS, "code") != BEFORE


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.int64),
        lambda array: array.view(np.uint32),
        lambda array: array[None],
    ],
    ids=["type", "type with the same bytes", "shape with the same bytes"],
)
def test_type_and_shape_count(change):
    timelines, requests = LOGS
    changed = dataclasses.replace(timelines, rec_items=change(timelines.rec_items))
    assert training_fingerprint(changed, requests, SETTINGS, "code", WEIGHTS) != BEFORE


def test_an_element_that_moves_to_the_next_array_counts():
    timelines, requests = (
        kind(**{field.name: np.arange(4, dtype=np.int32) for field in dataclasses.fields(kind)})
        for kind in (Timelines, Requests)
    )
    moved = dataclasses.replace(
        timelines, users=np.arange(5, dtype=np.int32) % 4, rec_items=np.arange(1, 4, dtype=np.int32)
    )
    assert training_fingerprint(timelines, requests, [], "c") != training_fingerprint(moved, requests, [], "c")


def test_no_times_are_others_than_times_of_nothing():
    timelines, requests = LOGS
    without, empty = (
        training_fingerprint(dataclasses.replace(timelines, rec_times=times), requests, SETTINGS, "code", WEIGHTS)
        for times in (None, np.zeros(0, np.int64))
    )
    assert len({without, empty, BEFORE}) == 3
