"""Reading of Examples, windows and order against scalar loops."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model import contract as inputs
from model.data.columns import offsets
from model.data.requests import Requests, read_requests
from model.data.targets import TargetOrder
from model.data.timelines import Timelines, read_timelines
from model.data.windows import ID_INPUTS, RequestWindows, SearchTargetWindows, TargetWindows
from tests.support.log_files import example, write
from tests.support.random_logs import random_logs, small_config

CONFIG = small_config(rec_length=3, search_length=2, words_per_search=2, items_per_search=2)
ALL_INPUTS = (*ID_INPUTS, *inputs.TIME_FEATURES)
FIRST_TIME = 1_714_543_200_000
ids = st.integers(1, 9)
times = st.integers(FIRST_TIME, FIRST_TIME + 4)  # a millisecond apart, or tied


@st.composite
def users(draw):
    """Clicks as (time, item); searches as (time, words, items, whether they are a target)."""
    clicks = draw(st.lists(st.tuples(times, ids), max_size=5))
    found = draw(
        st.lists(
            st.tuples(times, st.lists(ids, max_size=4), st.lists(ids, max_size=3), st.booleans()),
            max_size=4,
        )
    )
    return {"clicks": sorted(clicks, key=lambda one: one[0]), "searches": sorted(found, key=lambda one: one[0])}


def before(events, time):
    return [event for event in events if event[0] < time]


def flat(lists, dtype=np.int32):
    return np.array([x for one in lists for x in one], dtype)


def counts(rows, events, of):
    """For each event of each row, how many of the row's events of another kind are strictly earlier."""
    return flat([len(before(row[of], event[0])) for event in row[events]] for row in rows)


def histories(rows):
    found = [search for row in rows for search in row["searches"]]
    return {
        "users": np.arange(2, 2 + len(rows), dtype=np.int32),
        "rec_items": flat([item for _, item in row["clicks"]] for row in rows),
        "rec_times": flat(([time for time, _ in row["clicks"]] for row in rows), np.int64),
        "rec_offsets": offsets(np.array([len(row["clicks"]) for row in rows])),
        "search_offsets": offsets(np.array([len(row["searches"]) for row in rows])),
        "search_times": np.array([time for time, *_ in found], np.int64),
        "search_words": flat(words for _, words, _, _ in found),
        "word_offsets": offsets(np.array([len(words) for _, words, _, _ in found], np.int32)),
        "search_items": flat(items for _, _, items, _ in found),
        "item_offsets": offsets(np.array([len(items) for _, _, items, _ in found], np.int32)),
    }


def timelines_of(rows):
    return Timelines(
        **histories(rows),
        rec_clicks_before=counts(rows, "clicks", "clicks"),
        rec_searches_before=counts(rows, "clicks", "searches"),
        rec_is_target=np.ones(sum(len(row["clicks"]) for row in rows), np.int32),
        search_clicks_before=counts(rows, "searches", "clicks"),
        search_searches_before=counts(rows, "searches", "searches"),
        search_is_target=flat([is_target for *_, is_target in row["searches"]] for row in rows),
    )


def padded(values, length, width=None):
    """The last `length` values with zeros on the left; each of the first `width` values with zeros on the right."""
    values = values[-length:] if values else []
    if width is None:
        return [0] * (length - len(values)) + values
    inner = [(value[:width] + [0] * width)[:width] for value in values]
    return [[0] * width] * (length - len(values)) + inner


def check(batch, column, user, clicks, found):
    assert batch["user"][column] == user
    np.testing.assert_array_equal(batch["rec_items"][column], padded([item for _, item in clicks], 3))
    np.testing.assert_array_equal(batch["rec_times"][column], padded([time for time, _ in clicks], 3))
    np.testing.assert_array_equal(batch["search_words"][column], padded([words for _, words, _, _ in found], 2, 2))
    np.testing.assert_array_equal(batch["search_items"][column], padded([items for _, _, items, _ in found], 2, 2))
    np.testing.assert_array_equal(batch["search_times"][column], padded([time for time, *_ in found], 2))


def check_types(batch):
    types = {name: value.dtype for name, value in batch.items()}
    assert types == {name: tf.int64 if name in inputs.TIME_FEATURES else tf.int32 for name in ALL_INPUTS}


@settings(max_examples=40, deadline=None)
@given(st.lists(users(), min_size=1, max_size=5).filter(lambda rows: any(row["clicks"] for row in rows)))
def test_target_windows_equal_a_loop(rows):
    timelines = timelines_of(rows)
    batch, targets = TargetWindows(timelines, CONFIG, ALL_INPUTS)(tf.constant(timelines.targets))
    check_types(batch)
    column = 0
    for user, row in enumerate(rows, 2):
        for time, item in row["clicks"]:
            assert targets[column] == item
            check(batch, column, user, before(row["clicks"], time), before(row["searches"], time))
            column += 1
    assert column == len(targets)


@settings(max_examples=40, deadline=None)
@given(st.lists(users(), min_size=1, max_size=5))
def test_search_target_windows_equal_a_loop(rows):
    timelines = timelines_of(rows)
    windows = SearchTargetWindows(timelines, CONFIG, ALL_INPUTS)
    batch, rows_of, targets = windows(tf.constant(timelines.search_targets))
    words = batch.pop(inputs.QUERY)
    check_types(batch)
    column = 0
    for user, row in enumerate(rows, 2):
        for time, query, items, is_target in row["searches"]:
            for item in items * is_target:
                assert (targets[column], rows_of[column]) == (item, user - 2)
                np.testing.assert_array_equal(words[column], padded([query], 1, 2)[0])
                check(batch, column, user, before(row["clicks"], time), before(row["searches"], time))
                column += 1
    assert column == len(targets) == len(words) == len(timelines.search_targets)


@settings(max_examples=20, deadline=None)
@given(st.lists(users(), min_size=1, max_size=5))
def test_request_windows_equal_a_loop(rows):
    count = len(rows)
    candidates = np.arange(count * 3, dtype=np.int32).reshape(count, 3)
    requests = Requests(**histories(rows), candidates=candidates, label=np.arange(count, dtype=np.int32) % 3)
    order = np.arange(count, dtype=np.int32)[::-1].copy()
    batch, label = RequestWindows(requests, CONFIG, ALL_INPUTS)(tf.constant(order))
    for column, row in enumerate(order):
        check(batch, column, row + 2, rows[row]["clicks"], rows[row]["searches"])
    np.testing.assert_array_equal(batch.pop("candidates"), candidates[order])
    check_types(batch)
    np.testing.assert_array_equal(label, order % 3)


def test_a_batch_holds_what_is_asked_for():
    timelines, requests = random_logs(users=9)
    positions = tf.constant(timelines.targets[:4])
    whole, _ = TargetWindows(timelines, CONFIG, ALL_INPUTS)(positions)
    untimed = dataclasses.replace(timelines, rec_times=None, search_times=None)
    for wanted in (ID_INPUTS, ("rec_items", "search_items")):
        batch, _ = TargetWindows(untimed, CONFIG, wanted)(positions)
        assert tuple(batch) == wanted
        for name, tensor in batch.items():
            np.testing.assert_array_equal(tensor, whole[name])
    assert set(TargetWindows(timelines, CONFIG)(positions)[0]) == set(ID_INPUTS)
    assert set(RequestWindows(requests, CONFIG)(tf.range(3))[0]) == {*ID_INPUTS, "candidates"}


def features_of(row, user):
    return {
        "user": [user],
        "rec_items": [item for _, item in row["clicks"]],
        "rec_times": [time for time, _ in row["clicks"]],
        "search_words": [word for _, words, _, _ in row["searches"] for word in words],
        "search_word_counts": [len(words) for _, words, _, _ in row["searches"]],
        "search_items": [item for _, _, items, _ in row["searches"] for item in items],
        "search_item_counts": [len(items) for _, _, items, _ in row["searches"]],
        "search_times": [time for time, *_ in row["searches"]],
    }


ROWS = [
    {
        "clicks": [(FIRST_TIME, 3), (FIRST_TIME + 1, 4), (FIRST_TIME + 2, 5)],
        "searches": [(FIRST_TIME, [2, 3], [], False), (FIRST_TIME + 1, [4], [7, 8], True)],
    },
    {"clicks": [], "searches": []},
    {"clicks": [(FIRST_TIME, 9)], "searches": [(FIRST_TIME - 1, [], [6], True)]},
]
TARGETS = {
    "rec_clicks_before": [[0, 1, 2], [], [0]],
    "rec_searches_before": [[0, 1, 2], [], [1]],
    "rec_is_target": [[0, 1, 1], [], [1]],
    "search_clicks_before": [[0, 1], [], [0]],
    "search_searches_before": [[0, 1], [], [0]],
    "search_is_target": [[0, 1], [], [1]],
}


def timeline_features(index):
    return {**features_of(ROWS[index], 2 + index), **{name: rows[index] for name, rows in TARGETS.items()}}


def test_timelines_are_read_from_several_files(tmp_path):
    examples = [example(**timeline_features(index)) for index in range(len(ROWS))]
    read = read_timelines([write(tmp_path / "a.gz", examples[:2]), write(tmp_path / "b.gz", examples[2:])])
    for name, expected in histories(ROWS).items():
        np.testing.assert_array_equal(getattr(read, name), expected, err_msg=name)
        assert getattr(read, name).dtype == (np.int64 if name in inputs.TIME_FEATURES else np.int32)
    for name, rows in TARGETS.items():
        np.testing.assert_array_equal(getattr(read, name), flat(rows), err_msg=name)
        assert getattr(read, name).dtype == np.int32
    np.testing.assert_array_equal(read.targets, [1, 2, 3])
    np.testing.assert_array_equal(read.search_targets, [0, 1, 2])


def test_times_of_no_file_are_int64_too():
    assert read_timelines([]).rec_times.dtype == np.int64


def test_requests_are_read(tmp_path):
    examples = [
        example(**features_of(row, user), candidates=[5, 6, 7], label=[user % 3]) for user, row in enumerate(ROWS, 2)
    ]
    read = read_requests([write(tmp_path / "r.gz", examples)])
    assert len(read) == 3
    np.testing.assert_array_equal(read.candidates, [[5, 6, 7]] * 3)
    np.testing.assert_array_equal(read.label, [2, 0, 1])
    np.testing.assert_array_equal(read.rec_offsets, [0, 3, 3, 4])
    np.testing.assert_array_equal(read.rec_times - FIRST_TIME, [0, 1, 2, 0])
    np.testing.assert_array_equal(read.search_times - FIRST_TIME, [0, 1, -1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": [5, 6]}, "`candidates` should be equally long"),
        ({"search_word_counts": [2, 2]}, "`search_word_counts` should add up"),
        ({"search_item_counts": [2]}, "should be equally long"),
        ({"rec_times": [1, 2]}, "`rec_times` should hold one value for each of `rec_items`"),
        ({"search_times": []}, "`search_times` should hold one value for each of `search_word_counts`"),
    ],
)
def test_requests_that_do_not_fit_are_refused(tmp_path, change, message):
    good = {**features_of(ROWS[0], 2), "candidates": [5, 6, 7], "label": [0]}
    files = [write(tmp_path / "r.gz", [example(**good), example(**{**good, **change})])]
    with pytest.raises(ValueError, match=message):
        read_requests(files)


@pytest.mark.parametrize("name", TARGETS)
def test_timelines_that_do_not_fit_are_refused(tmp_path, name):
    bad = example(**{**timeline_features(0), name: [0]})
    with pytest.raises(ValueError, match=f"`{name}` should hold one value for each of"):
        read_timelines([write(tmp_path / "t.gz", [bad])])


def test_each_epoch_visits_targets_once_in_an_order_of_its_own():
    order = TargetOrder(np.arange(100, dtype=np.int32), 30, seed=1)
    assert order.steps_per_epoch == 3
    epochs = [np.concatenate([order.batch(3 * epoch + i) for i in range(3)]) for epoch in range(2)]
    assert all(len(np.unique(epoch)) == 90 for epoch in epochs)
    assert not np.array_equal(*epochs)
    resumed = TargetOrder(np.arange(100, dtype=np.int32), 30, seed=1)
    np.testing.assert_array_equal(resumed.batch(4), epochs[1][30:60])


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_last_targets_are_the_newest_of_each_user(count):
    timelines, _ = random_logs(users=9)
    is_target = np.random.default_rng(0).integers(0, 2, len(timelines.rec_items)).astype(np.int32)
    timelines = Timelines(**{**vars(timelines), "rec_is_target": is_target})
    expected = []
    for begin, end in zip(timelines.rec_offsets[:-1], timelines.rec_offsets[1:], strict=True):
        of_user = [position for position in range(begin, end) if is_target[position]]
        expected += of_user[-count:]
    np.testing.assert_array_equal(timelines.last_targets(count), expected)


def test_few_targets_shrink_the_batch_and_none_are_refused():
    assert TargetOrder(np.arange(7), 30, seed=1).batch_size == 7
    with pytest.raises(ValueError, match="`targets`"):
        TargetOrder(np.zeros(0, np.int32), 30, seed=1)
