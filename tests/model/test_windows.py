"""Reading of Examples, windows and order against scalar loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_logs import random_logs, small_config

from model.training.columns import offsets
from model.training.requests import Requests, read_requests
from model.training.targets import TargetOrder
from model.training.timelines import Timelines, read_timelines
from model.training.windows import RequestWindows, TargetWindows

CONFIG = small_config(rec_length=3, search_length=2, words_per_search=2, items_per_search=2)
ids = st.integers(1, 9)
searches = st.lists(st.tuples(st.lists(ids, max_size=4), st.lists(ids, max_size=3)), max_size=4)


@st.composite
def users(draw):
    found = draw(searches)
    clicks = draw(st.lists(ids, max_size=5))
    before = sorted(draw(st.lists(st.integers(0, len(found)), min_size=len(clicks), max_size=len(clicks))))
    ties = draw(st.lists(st.integers(0, 2), min_size=len(clicks), max_size=len(clicks)))
    clicks_before = [max(0, place - tied) for place, tied in enumerate(ties)]
    return {"clicks": clicks, "searches": found, "before": before, "clicks_before": clicks_before}


def flat(lists):
    return np.array([x for one in lists for x in one], np.int32)


def histories(rows):
    found = [search for row in rows for search in row["searches"]]
    return {
        "users": np.arange(2, 2 + len(rows), dtype=np.int32),
        "rec_items": flat(row["clicks"] for row in rows),
        "rec_offsets": offsets(np.array([len(row["clicks"]) for row in rows])),
        "search_offsets": offsets(np.array([len(row["searches"]) for row in rows])),
        "search_words": flat(words for words, _ in found),
        "word_offsets": offsets(np.array([len(words) for words, _ in found], np.int32)),
        "search_items": flat(items for _, items in found),
        "item_offsets": offsets(np.array([len(items) for _, items in found], np.int32)),
    }


def padded(values, length, width=None):
    """The last `length` values with zeros on the left; each of the first `width` values with zeros on the right."""
    values = values[-length:] if values else []
    if width is None:
        return [0] * (length - len(values)) + values
    inner = [(value[:width] + [0] * width)[:width] for value in values]
    return [[0] * width] * (length - len(values)) + inner


def check(batch, column, user, clicks, found):
    assert batch["user"][column] == user
    np.testing.assert_array_equal(batch["rec_items"][column], padded(clicks, 3))
    np.testing.assert_array_equal(batch["search_words"][column], padded([w for w, _ in found], 2, 2))
    np.testing.assert_array_equal(batch["search_items"][column], padded([i for _, i in found], 2, 2))
    assert all(value.dtype == tf.int32 for value in batch.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(users(), min_size=1, max_size=5).filter(lambda rows: any(row["clicks"] for row in rows)))
def test_target_windows_equal_a_loop(rows):
    timelines = Timelines(
        **histories(rows),
        rec_clicks_before=flat(row["clicks_before"] for row in rows),
        rec_searches_before=flat(row["before"] for row in rows),
        rec_is_target=np.ones(sum(len(row["clicks"]) for row in rows), np.int32),
    )
    batch, targets = TargetWindows(timelines, CONFIG)(tf.constant(timelines.targets))
    column = 0
    for user, row in enumerate(rows, 2):
        for position, item in enumerate(row["clicks"]):
            assert targets[column] == item
            clicks, searches = row["clicks_before"][position], row["before"][position]
            check(batch, column, user, row["clicks"][:clicks], row["searches"][:searches])
            column += 1
    assert column == len(targets)


@settings(max_examples=20, deadline=None)
@given(st.lists(users(), min_size=1, max_size=5))
def test_request_windows_equal_a_loop(rows):
    count = len(rows)
    candidates = np.arange(count * 3, dtype=np.int32).reshape(count, 3)
    requests = Requests(**histories(rows), candidates=candidates, label=np.arange(count, dtype=np.int32) % 3)
    order = np.arange(count, dtype=np.int32)[::-1].copy()
    batch, label = RequestWindows(requests, CONFIG)(tf.constant(order))
    for column, row in enumerate(order):
        check(batch, column, row + 2, rows[row]["clicks"], rows[row]["searches"])
    np.testing.assert_array_equal(batch["candidates"], candidates[order])
    np.testing.assert_array_equal(label, order % 3)


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values)) for name, values in features.items()
            }
        )
    ).SerializeToString()


def write(path, examples):
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for one in examples:
            writer.write(one)
    return str(path)


def features_of(row, user):
    return {
        "user": [user],
        "rec_items": row["clicks"],
        "search_words": [word for words, _ in row["searches"] for word in words],
        "search_word_counts": [len(words) for words, _ in row["searches"]],
        "search_items": [item for _, items in row["searches"] for item in items],
        "search_item_counts": [len(items) for _, items in row["searches"]],
    }


ROWS = [
    {"clicks": [3, 4, 5], "searches": [([2, 3], []), ([4], [7, 8])], "before": [0, 1, 2], "clicks_before": [0, 0, 2]},
    {"clicks": [], "searches": [], "before": [], "clicks_before": []},
    {"clicks": [9], "searches": [([], [6])], "before": [1], "clicks_before": [0]},
]


def test_timelines_are_read_from_several_files(tmp_path):
    examples = [
        example(
            **features_of(row, user),
            rec_clicks_before=row["clicks_before"],
            rec_searches_before=row["before"],
            rec_is_target=[1] * len(row["clicks"]),
        )
        for user, row in enumerate(ROWS, 2)
    ]
    read = read_timelines([write(tmp_path / "a.gz", examples[:2]), write(tmp_path / "b.gz", examples[2:])])
    for name, expected in histories(ROWS).items():
        np.testing.assert_array_equal(getattr(read, name), expected, err_msg=name)
        assert getattr(read, name).dtype == np.int32
    np.testing.assert_array_equal(read.rec_clicks_before, [0, 0, 2, 0])
    np.testing.assert_array_equal(read.rec_searches_before, [0, 1, 2, 1])
    np.testing.assert_array_equal(read.targets, [0, 1, 2, 3])


def test_requests_are_read(tmp_path):
    examples = [
        example(**features_of(row, user), candidates=[5, 6, 7], label=[user % 3]) for user, row in enumerate(ROWS, 2)
    ]
    read = read_requests([write(tmp_path / "r.gz", examples)])
    assert len(read) == 3
    np.testing.assert_array_equal(read.candidates, [[5, 6, 7]] * 3)
    np.testing.assert_array_equal(read.label, [2, 0, 1])
    np.testing.assert_array_equal(read.rec_offsets, [0, 3, 3, 4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": [5, 6]}, "`candidates` should be equally long"),
        ({"search_word_counts": [2, 2]}, "`search_word_counts` should add up"),
        ({"search_item_counts": [2]}, "should be equally long"),
    ],
)
def test_requests_that_do_not_fit_are_refused(tmp_path, change, message):
    good = {**features_of(ROWS[0], 2), "candidates": [5, 6, 7], "label": [0]}
    files = [write(tmp_path / "r.gz", [example(**good), example(**{**good, **change})])]
    with pytest.raises(ValueError, match=message):
        read_requests(files)


def test_timelines_that_do_not_fit_are_refused(tmp_path):
    bad = example(
        **features_of(ROWS[0], 2), rec_clicks_before=[0, 1, 2], rec_searches_before=[0], rec_is_target=[1, 1, 1]
    )
    with pytest.raises(ValueError, match="rec_searches_before"):
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
