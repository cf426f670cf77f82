"""Ids that training replaces by the unknown one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from model.config import SupervisedConfig
from model.contract import FIRST_KNOWN_ID, TIME_FEATURES, UNKNOWN_ID
from model.lcr_ser import LcrSer
from model.training import supervised
from model.training.optimizers import SplitAdam
from model.training.unknown import with_unknown
from tests.support.random_logs import random_batch, random_logs, randomise, small_config, tensors


def replaced(batch, rate, step=3, seed=11):
    result = with_unknown(tensors(batch), rate, seed, tf.constant(step, tf.int64))
    return {name: ids.numpy() for name, ids in result.items()}


def random_ids(size):
    """A random batch without its times."""
    batch = random_batch(small_config(), size=size)
    return {name: ids for name, ids in batch.items() if name not in TIME_FEATURES}


def test_known_ids_are_replaced_at_the_rate_and_padding_stays():
    batch = random_ids(2000)
    changed = replaced(batch, 0.2)
    assert changed.keys() == batch.keys()
    for name, ids in batch.items():
        known = ids >= FIRST_KNOWN_ID
        np.testing.assert_array_equal(changed[name][~known], ids[~known])
        lost = changed[name][known] != ids[known]
        np.testing.assert_array_equal(changed[name][known][lost], UNKNOWN_ID)
        # Five standard deviations of a share.
        assert lost.mean() == pytest.approx(0.2, abs=5 * 0.4 / known.sum() ** 0.5), name


def test_times_stay():
    ids, times = np.full((40, 3), 7, np.int32), np.full((40, 3), 1_714_543_200_000)
    changed = replaced({"rec_items": ids, "rec_times": times}, 0.9)
    assert (changed["rec_items"] == UNKNOWN_ID).any()
    assert changed["rec_times"].dtype == np.int64
    np.testing.assert_array_equal(changed["rec_times"], times)


def test_ids_are_replaced_independently_of_each_other_of_the_feature_and_of_the_step():
    batch = {name: np.full((4000, 2), 7, np.int32) for name in ("rec_items", "candidates")}
    lost = [ids == UNKNOWN_ID for step in (0, 1) for ids in replaced(batch, 0.5, step).values()]
    columns = np.concatenate(lost, 1).T
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 5 / 4000**0.5


def test_seed_and_step_decide_what_is_replaced():
    batch = random_ids(50)
    again, other_step, other_seed = (replaced(batch, 0.3, step, seed) for step, seed in ((3, 11), (4, 11), (3, 12)))
    for name, ids in replaced(batch, 0.3).items():
        np.testing.assert_array_equal(again[name], ids)
        assert (other_step[name] != ids).any() and (other_seed[name] != ids).any()


def unknown_rows(rate):
    """Rows 1 of the three tables before and after a step."""
    timelines, _ = random_logs()
    config = SupervisedConfig(unknown_rate=rate, learning_rate=0.1, batch_size=64)
    model = randomise(LcrSer(small_config()))
    optimizer = SplitAdam([layer.table for layer in model.tables], model.dense_variables, config.learning_rate)
    before = [layer.table.numpy()[UNKNOWN_ID] for layer in model.tables]
    step = supervised.make_step(model, optimizer, config, timelines)
    step(tf.constant(0, tf.int64), tf.constant(timelines.targets[:64]))
    return before, [layer.table.numpy()[UNKNOWN_ID] for layer in model.tables]


@pytest.mark.slow
def test_a_step_trains_the_unknown_rows_of_all_tables(eager):
    for before, after in zip(*unknown_rows(0.2), strict=True):
        assert np.abs(after - before).min() > 0.01
    for before, after in zip(*unknown_rows(0.0), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=f"`unknown_rate` should be from 0 to below 1. Received: {rate}."):
        dataclasses.replace(SupervisedConfig(), unknown_rate=rate)
