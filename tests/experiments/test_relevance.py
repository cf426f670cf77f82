"""The arrays of a simulated log against its files read row by row, and the area under the curve against pairs."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from experiments.relevance import LOG, areas, by_target, look, searches_of
from experiments.simulated import HELD_OUT, read
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from synthetic_logs.simulator import simulate


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("relevance")
    # A catalogue in which 99 items are left that a user never clicked.
    simulate(path, 40 * LOG.rows, dataclasses.replace(LOG, rec_rows_an_item=3.0, hits=0.1), compress=False)
    return path


@pytest.fixture(scope="module")
def log(directory):
    return read(directory, seed=1)


def _users(directory):
    """Clicks and searches of each user in order, by their raw ids."""
    users = {}
    with (directory / "rec_inter.csv").open() as file:
        for row in csv.DictReader(file):
            clicks, _ = users.setdefault(int(row["user_id"]), ([], {}))
            if row["click"] == "1":
                clicks.append((int(float(row["timestamp"])), row["item_id"]))
    with (directory / "src_inter.csv").open() as file:
        for row in csv.DictReader(file):
            searches = users[int(row["user_id"])][1]
            words, items = searches.setdefault(
                (int(row["search_session_timestamp"]), row["search_session_id"]), (json.loads(row["keyword"]), {})
            )
            if row["click_cnt"] == "1":
                items[row["item_id"]] = None
    return [
        (clicks, [(time, session, words, list(items)) for (time, session), (words, items) in sorted(searches.items())])
        for _, (clicks, searches) in sorted(users.items())
    ]


def test_arrays_hold_what_the_files_hold(directory, log):
    # Ids are dense: two events have equal ids where and only where their raw ids are equal.
    raw, dense = {"item": [], "word": []}, {"item": [], "word": []}
    timelines, request = log.timelines, 0
    for user, (clicks, searches) in enumerate(_users(directory)):
        kept = clicks[:-HELD_OUT] if len(clicks) > HELD_OUT else clicks
        mine = slice(*timelines.rec_offsets[user : user + 2])
        assert timelines.rec_offsets[user + 1] - timelines.rec_offsets[user] == len(kept)
        before = [sum(search[0] < time for search in searches) for time, _ in clicks]
        np.testing.assert_array_equal(timelines.rec_searches_before[mine], before[: len(kept)])
        clicks_before = [sum(click[0] < time for click in clicks) for time, _ in clicks]
        np.testing.assert_array_equal(timelines.rec_clicks_before[mine], clicks_before[: len(kept)])
        known = [int(earlier + searched > 0) for earlier, searched in zip(clicks_before, before, strict=True)]
        np.testing.assert_array_equal(timelines.rec_is_target[mine], known[: len(kept)])
        seen = searches if kept is clicks else searches[: before[len(kept)]]
        _compare(timelines, user, kept, seen, raw, dense)
        mine = slice(*timelines.search_offsets[user : user + 2])
        for counts, events in (
            (timelines.search_clicks_before, clicks),
            (timelines.search_searches_before, searches),
        ):
            earlier = [sum(event[0] < search[0] for event in events) for search in seen]
            np.testing.assert_array_equal(counts[mine], earlier)
        np.testing.assert_array_equal(timelines.search_is_target[mine], [bool(items) for *_, items in seen])
        for place in range(len(kept), len(clicks)):
            requests, row = (
                (log.eval_requests, request // HELD_OUT)
                if place == len(kept)
                else (log.test_requests, request // HELD_OUT * (HELD_OUT - 1) + place - len(kept) - 1)
            )
            _compare(requests, row, clicks[: clicks_before[place]], searches[: before[place]], raw, dense)
            raw["item"].append(clicks[place][1])
            dense["item"].append(requests.candidates[row, requests.label[row]])
            request += 1
    assert request == HELD_OUT * len(log.eval_requests) and len(log.test_requests) == request - len(log.eval_requests)
    for kind, values in raw.items():
        pairs = set(zip(values, np.array(dense[kind]).tolist(), strict=True))
        assert len(pairs) == len(set(values)) == len(set(dense[kind])) and min(dense[kind]) == 2


def _compare(histories, row, clicks, searches, raw, dense):
    first, last = histories.rec_offsets[row : row + 2]
    assert last - first == len(clicks)
    assert histories.rec_times[first:last].tolist() == [time for time, _ in clicks]
    raw["item"] += [item for _, item in clicks]
    dense["item"] += histories.rec_items[first:last].tolist()
    first, last = histories.search_offsets[row : row + 2]
    assert last - first == len(searches)
    assert histories.search_times[first:last].tolist() == [time for time, *_ in searches]
    for at, (_, _, words, items) in zip(range(first, last), searches, strict=True):
        for kind, values, place, mine in (
            ("word", histories.search_words, histories.word_offsets, words),
            ("item", histories.search_items, histories.item_offsets, items),
        ):
            begin, end = place[at : at + 2]
            assert end - begin == len(mine)
            raw[kind] += mine
            dense[kind] += values[begin:end].tolist()


def test_candidates_are_distinct_and_never_clicked(directory, log):
    for requests in (log.eval_requests, log.test_requests):
        assert requests.candidates.shape[1] == 100
        assert all(len(set(row)) == 100 for row in requests.candidates.tolist())
        for row in range(len(requests)):
            history = requests.rec_items[slice(*requests.rec_offsets[row : row + 2])]
            negatives = np.delete(requests.candidates[row], requests.label[row])
            assert not set(negatives.tolist()) & set(history.tolist())


def test_relevant_searches_are_those_of_the_truth(directory, log):
    with (directory / "truth" / "relevant_searches.csv").open() as file:
        truth = {
            (int(row["user_id"]), int(row["timestamp"]), row["item_id"]): json.loads(row["search_session_ids"])
            for row in csv.DictReader(file)
        }
    expected = []
    for user, (clicks, searches) in enumerate(_users(directory), 1):
        for time, item in clicks[1 - HELD_OUT :] if len(clicks) > HELD_OUT else []:
            named = truth.get((user, time, item), [])
            expected += [int(session) in named for at, session, _, _ in searches if at < time]
    assert sum(expected) > 50
    np.testing.assert_array_equal(log.relevant, expected)


def test_newest_searches_stand_on_the_right(log):
    relevant, real = searches_of(log, 3)
    counts = np.diff(log.test_requests.search_offsets)
    np.testing.assert_array_equal(real.sum(1), np.minimum(counts, 3))
    assert (np.diff(real.astype(int), axis=1) >= 0).all() and not (relevant & ~real).any()
    full = int(np.flatnonzero(counts >= 3)[0])
    end = log.test_requests.search_offsets[full + 1]
    np.testing.assert_array_equal(relevant[full], log.relevant[end - 3 : end])


def test_area_under_the_curve_by_hand():
    weights = np.array([[9.0, 0.1, 0.4, 0.2], [0.0, 0.3, 0.3, 0.1], [0.0, 1.0, 2.0, 3.0]])
    real = np.array([[False, True, True, True], [True] * 4, [True] * 4])
    relevant = np.array([[False, False, True, True], [False, True, False, True], [False] * 4])
    # First: both above .1. Second: .3 beats 0 and ties .3, .1 beats 0 and loses: 2.5 of 4. Third: nothing to find.
    np.testing.assert_allclose(areas(weights, relevant, real), [1.0, 0.625])


def test_areas_are_told_by_how_often_the_target_was_clicked(log):
    relevant, real = searches_of(log, 30)
    weights = np.random.default_rng(0).random(relevant.shape)
    ranks = np.random.default_rng(1).integers(1, 8, len(relevant))
    parts = by_target(log, weights, relevant, real, ranks)
    expected, first, high, clicks = {}, [], [], log.timelines.rec_items.tolist()
    for request, rank in enumerate(ranks):
        area = areas(weights[[request]], relevant[[request]], real[[request]])
        if not len(area):
            continue
        target = log.test_requests.candidates[request, log.test_requests.label[request]]
        count = clicks.count(target)
        name = "0 to 19 clicks" if count < 20 else "20 to 39 clicks" if count < 40 else f"{count}"
        expected.setdefault(name, []).append(area[0])
        if rank == 1:
            first.append(area[0])
        if rank <= 5:
            high.append(area[0])
    assert first and expected
    for name, of_part in {
        **expected,
        "ranked first": first,
        "ranked among the first five": high,
    }.items():
        assert parts[name]["requests"] == len(of_part)
        assert parts[name]["mean"] == pytest.approx(np.mean(of_part), abs=1e-4)
    assert len(parts) == len(expected) + 2


def test_weights_are_those_the_model_uses(log):
    model = LcrSer(
        LcrSerConfig(
            **log.sizes,
            dim=8,
            rec_length=5,
            search_length=4,
            words_per_search=6,
            items_per_search=5,
            reasoning_steps=2,
            dropout=0.0,
            num_heads=1,
        )
    )
    _, real = searches_of(log, 4)
    weights = look(model, log)
    assert set(weights) == {"target attention", "cross attention"}
    for values in weights.values():
        assert values.shape == real.shape and (values[~real & real.any(1)[:, None]] == 0).all()
        assert (values.sum(1) <= 1 + 1e-5).all() and (values[real] > 0).all()
    # Queries of zero look at all events and at both reasoning inputs alike; large ones do not.
    layer = model.reasoning.rec_cross
    layer.query.kernel.assign(layer.query.kernel * 20)
    before = look(model, log)["cross attention"]
    layer.query.kernel.assign(tf.zeros_like(layer.query.kernel))
    even = look(model, log)["cross attention"]
    count = real.sum(1, keepdims=True) + 2
    np.testing.assert_allclose(even[real], np.broadcast_to(1 / count, real.shape)[real], rtol=1e-5)
    assert np.abs(before - even).max() > 0.05
