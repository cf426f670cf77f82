"""Workers have a part of the log each: nothing of it is left out, and nothing is there twice."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from model.baselines.popularity import Popularity, PopularityConfig
from model.data.columns import Part, files_of
from model.data.negatives import NegativeSampler
from model.data.requests import read_requests
from model.data.targets import TargetOrder, WorkerTargets, rows_of_workers
from model.data.timelines import read_timelines
from model.training import replicas
from model.training.batches import batches
from tests.support.log_files import request_examples, timeline_examples, write_split
from tests.support.random_logs import NUM_ITEMS, random_logs


@pytest.fixture(scope="module")
def logs():
    return random_logs(users=30)


@pytest.mark.parametrize("files", [1, 7])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_parts_are_the_whole_log(logs, tmp_path, files, workers):
    timelines, requests = logs
    names = write_split(tmp_path / "train", list(timeline_examples(timelines)), files)
    eval_names = write_split(tmp_path / "eval", list(request_examples(requests)), files)
    parts = [read_timelines(names, Part(index, workers)) for index in range(workers)]
    assert sorted(np.concatenate([part.users for part in parts])) == sorted(timelines.users)
    assert sum(len(part.targets) for part in parts) == len(timelines.targets)
    of_requests = [read_requests(eval_names, Part(index, workers)) for index in range(workers)]
    assert sorted(np.concatenate([part.users for part in of_requests])) == sorted(requests.users)
    if workers == 1:
        for field in dataclasses.fields(timelines):
            np.testing.assert_array_equal(getattr(parts[0], field.name), getattr(timelines, field.name))


def test_a_part_opens_only_files_of_its_own_and_parts_weigh_the_same(tmp_path):
    sizes = [9, 1, 1, 7, 2, 4]
    files = [str(tmp_path / f"{number}") for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        with open(file, "wb") as opened:
            opened.write(bytes(size))
    parts = [files_of(files, Part(index, 3)) for index in range(3)]
    assert sorted(sum(parts, [])) == files
    assert sorted(sum(sizes[int(file[-1])] for file in part) for part in parts) == [7, 8, 9]
    assert files_of(files[:2], Part(1, 3)) == files[:2]


targets_of_workers = st.lists(st.integers(1, 500), min_size=1, max_size=6).map(np.array)


@given(targets_of_workers, st.integers(1, 300), st.integers(1, 4))
def test_a_batch_holds_of_every_part_what_its_size_allows(targets, batch_size, local):
    rows = rows_of_workers(targets, batch_size, local)
    assert (rows % local == 0).all() and (rows >= local).all()
    wanted = min(batch_size, targets.sum()) * targets / targets.sum()
    assert (abs(rows - wanted) <= 2 * local).all() or (rows == local).any()
    if batch_size >= local * len(targets) * targets.max():
        assert rows.sum() <= max(batch_size, local * len(targets))


def test_a_worker_sees_every_target_as_often_as_any_other():
    targets = np.arange(100, 110)
    order = WorkerTargets(targets, 4, seed=3)
    seen = np.concatenate([order.batch(step) for step in range(10)])
    assert sorted(seen) == sorted(np.tile(targets, 4))
    assert [sorted(seen[turn : turn + 10]) for turn in range(0, 40, 10)] == [targets.tolist()] * 4
    assert not np.array_equal(seen[:10], seen[10:20])
    np.testing.assert_array_equal(WorkerTargets(targets, 4, seed=3).batch(7), order.batch(7))
    assert not np.array_equal(WorkerTargets(targets, 4, seed=3 + (1 << 32)).batch(7), order.batch(7))
    assert np.bincount(WorkerTargets(targets[:2], 6, seed=0).batch(1) - 100).tolist() == [3, 3]


def test_one_worker_visits_targets_as_before(logs):
    targets = logs[0].targets
    made, expected = batches(targets, 16, 5), TargetOrder(targets, 16, 5)
    assert made.steps_per_epoch == expected.steps_per_epoch
    np.testing.assert_array_equal(made.batch(3), expected.batch(3))


def test_workers_without_a_target_are_named():
    with pytest.raises(ValueError, match=r"Every worker should have targets.*\[3, 0, 2\]. Use fewer workers"):
        replicas.require_each(np.array([3, 0, 2]), "targets")


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_negatives_of_a_part_come_from_the_whole_log(sampling):
    """By the clicks of all parts, each item is drawn as often as its share says; avoided is what the user clicked."""
    timelines, _ = random_logs(users=2)
    clicks = np.zeros(NUM_ITEMS, np.int64)
    clicks[[1, 30, 35, 41]] = 9, 1, 2, 5  # the unknown item is never drawn
    sample = NegativeSampler(timelines, sampling, "none", 1, 7, clicks=clicks)
    positions = tf.zeros(4000, tf.int32)
    candidates, valid = sample(tf.constant(0, tf.int64), positions)
    drawn = candidates.numpy()[:, 1][valid.numpy()[:, 1]]
    own = timelines.rec_items[0]
    weights = np.where(np.arange(NUM_ITEMS) == own, 0, clicks if sampling == "popularity" else clicks > 0)
    weights[1] = 0
    share = np.bincount(drawn, minlength=NUM_ITEMS) / len(drawn)
    np.testing.assert_allclose(share, weights / weights.sum(), atol=0.03)


def test_items_that_the_part_does_not_hold_are_drawn_for_all_of_its_users():
    timelines, _ = random_logs(users=3)
    beyond = np.arange(NUM_ITEMS, 3 * NUM_ITEMS)
    clicks = np.zeros(beyond[-1] + 1, np.int64)
    clicks[beyond] = 1
    sample = NegativeSampler(timelines, "uniform", "clicked", 30, 7, clicks=clicks)
    for position in timelines.rec_offsets[:-1]:
        drawn = [sample(tf.constant(step, tf.int64), tf.constant([position]))[0][0, 1:] for step in range(40)]
        assert set(np.concatenate(drawn)) == set(beyond), "nobody clicked one of them"


def test_popularity_counts_the_clicks_of_all_parts(logs):
    model = Popularity(PopularityConfig(num_users=2, num_items=NUM_ITEMS, num_words=2))
    model.fit_counts(logs[0], lambda counts: 3 * counts)
    np.testing.assert_array_equal(model.clicks.numpy()[2:], 3 * np.bincount(logs[0].rec_items, minlength=NUM_ITEMS)[2:])
