"""From rows of a log to what is learnt from a search: times, histories and targets against a computation by hand."""

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.examples import request_examples, timeline_examples
from components.example_gen.splits import Cuts, split_timelines
from components.example_gen.timeline import build_timelines
from model import contract as inputs
from model.config import LcrSerConfig
from model.data.timelines import read_timelines
from model.data.windows import ID_INPUTS, SearchTargetWindows
from tests.support.log_frames import click, frames, random_log, settings_of, shown

START = 1_714_543_200_000
"""The times of rows are milliseconds after it: neither float32 nor int32 could tell them apart."""
SHAPE = {"rec_length": 4, "search_length": 3, "words_per_search": 2, "items_per_search": 2}
CONFIG = LcrSerConfig(num_users=9, num_items=9, num_words=9, **SHAPE)
CUTS = {"leave_one_out": None, "time": Cuts(START + 12, START + 20)}


def dated(rows):
    return [{**row, "timestamp": START + row["timestamp"]} for row in rows]


def number(text):
    """`u3` and `i3` to 5; words `a` and `b` to 2 and 3."""
    return 2 + (int(text[1:]) if text[1:] else "ab".index(text))


def read_back(rows, cuts, folder, **reading):
    """The timelines as training reads them; in place of a vocabulary there is `number`."""
    timelines, _ = build_timelines(*frames(rows), settings_of(**reading))
    path = str(folder / "timelines.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for record in timeline_examples(timelines, split_timelines(timelines, cuts)):
            example = tf.train.Example.FromString(record)
            for feature in example.features.feature.values():
                if feature.HasField("bytes_list"):
                    ids = [number(value.decode()) for value in feature.bytes_list.value]
                    feature.int64_list.value.extend(ids)
            writer.write(example.SerializeToString())
    return read_timelines([path])


def events_of(rows, user):
    """Clicks as (time, item) and searches as (time, words, clicked items), in order; plain Python, ids as numbers."""
    own = sorted((row for row in rows if row["user"] == user), key=lambda row: (row["timestamp"], row["line"]))
    clicks = [(row["timestamp"], number(row["item"])) for row in own if "session" not in row]
    searches = {}
    for row in own:
        if "session" in row:
            key = (row["timestamp"], row["session"], tuple(row["words"]), row["source"])
            searches.setdefault(key, []).append(row)
    gathered = []
    for (time, _, words, _), results in searches.items():
        # In the order in which they were shown first, clicked or not.
        shown_items = list(dict.fromkeys(row["item"] for row in results))
        items = [item for item in shown_items if any(row["clicked"] for row in results if row["item"] == item)]
        if words or items:
            gathered.append((time, list(map(number, words)), list(map(number, items))))
    return clicks, gathered


def expected_targets(rows, cuts):
    """User, item, words and all strictly earlier events of each click in a search that may be learnt from."""
    found = []
    for user in sorted({row["user"] for row in rows}):
        clicks, searches = events_of(rows, user)
        if cuts:
            end = cuts.eval
        else:
            end = clicks[-2][0] if len(clicks) >= 3 else float("inf")
        for time, words, items in searches:
            earlier = [[event for event in events if event[0] < time] for events in (clicks, searches)]
            if time < end and (words or any(earlier)):
                found += [(number(user), item, words, *earlier) for item in items]
    return found


def window(values, length, width=None):
    padding = 0 if width is None else [0] * width
    cut = values if width is None else [(value + [0] * width)[:width] for value in values]
    return ([padding] * length + cut)[-length:]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(sorted(CUTS)))
def test_what_is_seen_before_a_search_is_what_was_strictly_earlier(tmp_path_factory, seed, split):
    rows, cuts = dated(random_log(np.random.default_rng(seed), rows=60)), CUTS[split]
    read = read_back(rows, cuts, tmp_path_factory.mktemp("log"))
    windows = SearchTargetWindows(read, CONFIG, (*ID_INPUTS, *inputs.TIME_FEATURES))
    batch, _, items = windows(tf.constant(read.search_targets))
    words = batch.pop(inputs.QUERY)
    expected = expected_targets(rows, cuts)
    assert items.numpy().tolist() == [item for _, item, *_ in expected]
    for column, (user, _, query, clicks, searches) in enumerate(expected):
        seen = {
            "user": user,
            "rec_items": window([item for _, item in clicks], 4),
            "rec_times": window([time for time, _ in clicks], 4),
            "search_words": window([of_search for _, of_search, _ in searches], 3, 2),
            "search_items": window([clicked for *_, clicked in searches], 3, 2),
            "search_times": window([time for time, *_ in searches], 3),
        }
        assert {name: tensor[column].numpy().tolist() for name, tensor in batch.items()} == seen
        assert words[column].numpy().tolist() == window([query], 1, 2)[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_times_of_a_request_are_those_of_its_newest_events(seed):
    rows = dated(random_log(np.random.default_rng(seed), rows=60))
    timelines, _ = build_timelines(*frames(rows), settings_of())
    split = split_timelines(timelines, None)
    count = len(split.requests)
    candidates = pl.DataFrame(
        {"candidates": [["i0"]] * count, "label": [0] * count},
        {"candidates": pl.List(pl.String), "label": pl.Int64},
    )
    made = request_examples(timelines, split, np.arange(count), candidates, settings_of(**{**SHAPE, "rec_length": 2}))
    for at, record in zip(split.requests, made, strict=True):
        features = tf.train.Example.FromString(record).features.feature
        clicks, searches = events_of(rows, features["user"].bytes_list.value[0].decode())
        time = timelines.clicks["timestamp"][int(at)]
        earlier = [event for event in clicks if event[0] < time][-2:]
        assert list(features["rec_times"].int64_list.value) == [when for when, _ in earlier]
        assert [number(item.decode()) for item in features["rec_items"].bytes_list.value] == [i for _, i in earlier]
        earlier_searches = [when for when, *_ in searches if when < time][-3:]
        assert list(features["search_times"].int64_list.value) == earlier_searches


@pytest.mark.parametrize("cuts", [None, Cuts(30_000, 40_000)], ids=["leave one out", "by time"])
def test_no_search_at_or_behind_the_eval_target_is_learnt_from(tmp_path, cuts):
    """Each of them would tell what is asked: one second after the test click the very item is clicked in a search."""
    rows = [
        *(click(1000 * second, second, item) for second, item in ((10, "i1"), (20, "i2"), (30, "i3"), (40, "i4"))),
        shown(25_000, 50, "i7", session="earlier", words="a"),
        shown(30_000, 51, "i3", session="with the eval target", words="a"),
        shown(35_000, 52, "i4", session="between", words="a"),
        shown(41_000, 53, "i4", session="after the test click", words="b"),
    ]
    rows = [{**row, "user": "u1"} for row in rows]
    read = read_back(rows, cuts, tmp_path)
    assert read.search_times.tolist() == [25_000]
    assert read.search_items[read.search_targets].tolist() == [number("i7")]
    # A user without a test click has no such end.
    alone = [{**row, "user": "u2"} for row in rows if row["timestamp"] not in (10_000, 20_000)]
    targets = read_back(alone, None, tmp_path)
    assert targets.search_items[targets.search_targets].tolist() == list(map(number, ("i7", "i3", "i4", "i4")))


def test_what_stands_for_a_click_is_no_target(tmp_path):
    rows = [
        shown(5, 1, "i1", clicked=False, session="s1", words="a"),
        shown(6, 2, "i2", session="s2", words="a"),
        shown(6, 3, "i3", session="s2", words="a"),
        shown(7, 4, "", clicked=True, session="s3", words="a"),  # a click on nobody knows what
    ]
    read = read_back([{**row, "user": "u1"} for row in rows], None, tmp_path, unclicked_search="first_shown")
    assert read.search_items.tolist() == list(map(number, ("i1", "i2", "i3")))
    assert read.search_is_target.tolist() == [0, 1, 0]
    assert read.search_items[read.search_targets].tolist() == list(map(number, ("i2", "i3")))


def test_a_search_without_words_needs_something_before_it(tmp_path):
    rows = [shown(5, 1, "i1", session="s1", words=""), shown(6, 2, "i2", session="s2", words="")]
    read = read_back([{**row, "user": "u1"} for row in rows], None, tmp_path)
    assert read.search_is_target.tolist() == [0, 1]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(sorted(CUTS)))
def test_what_happens_at_or_behind_the_eval_target_changes_nothing_that_is_learnt_from(tmp_path_factory, seed, split):
    """Every model learns from timelines alone: searches as targets, neighbours, counts and negatives too."""
    rng = np.random.default_rng(seed)
    rows, cuts = dated(random_log(rng, rows=60)), CUTS[split]
    ends, held_out = {}, set()
    for user in sorted({row["user"] for row in rows}):
        own = sorted((row["timestamp"], row["line"]) for row in rows if row["user"] == user and "session" not in row)
        ends[user] = cuts.eval if cuts else own[-2][0] if len(own) >= 3 else float("inf")
        held_out |= {line for time, line in own if time >= ends[user] and (cuts or (time, line) >= own[-2])}
    # Clicks stay as many: which of them is the eval target is told by their number.
    changed = [
        {**row, "item": f"i{rng.integers(0, 7)}"}
        if row["line"] in held_out or ("session" in row and row["timestamp"] >= ends[row["user"]])
        else row
        for row in rows
    ]
    for user in sorted(ends):
        if ends[user] < float("inf"):
            later = shown(START + 60, 10_000 + len(changed), "i1", session="behind", words="b")
            changed.append({**later, "user": user})
    one, other = (read_back(log, cuts, tmp_path_factory.mktemp("log")) for log in (rows, changed))
    for name, values in vars(one).items():
        np.testing.assert_array_equal(getattr(other, name), values, err_msg=name)
