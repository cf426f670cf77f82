"""Splits: what is trained on, what is asked, and that nothing leaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.settings import LogSettings
from components.example_gen.splits import Cuts, split_timelines, time_cuts
from components.example_gen.timeline import build_timelines
from tests.support.log_frames import click, frames, random_log, requests_of, settings_of, shown


def split_of(rows, cuts=None):
    timelines, _ = build_timelines(*frames(rows), settings_of())
    return timelines, split_timelines(timelines, cuts)


def test_only_strictly_earlier_events_count():
    _, split = split_of(
        [
            click(5, 2, "a"),
            click(10, 3, "b"),
            click(10, 4, "c"),
            click(11, 5, "d"),
            shown(5, 2),
            shown(10, 3, session="t"),
            shown(10, 4, session="v"),
        ]
    )
    assert split.clicks_before.tolist() == [0, 1, 1, 3]
    assert split.searches_before.tolist() == [0, 1, 1, 3]


def test_leave_one_out():
    """Eval and test target have one time: the test does not see the eval target, nor the search that led to it."""
    timelines, split = split_of(
        [
            click(10, 2, "a"),
            click(20, 3, "b"),
            click(30, 4, "c"),
            click(30, 5, "d"),
            shown(10, 2, "x", session="s1"),
            shown(15, 3, session="s2"),
            shown(30, 4, "d", session="s3"),
            shown(40, 5, "z", session="s4"),
        ]
    )
    assert (split.train_clicks.tolist(), split.train_searches.tolist()) == ([2], [2])
    assert split.is_target.tolist() == [False, True, False, False]
    assert requests_of(timelines, split) == [
        ("eval", 30, "c", ["a", "b"], [10, 15]),
        ("test", 30, "d", ["a", "b"], [10, 15]),
    ]
    assert len(split.without_history) == 0


def test_leave_one_out_trains_on_all_of_a_short_user():
    _, split = split_of([click(10, 2, "a"), click(20, 3, "b"), shown(5, 2), shown(99, 3)])
    assert (split.train_clicks.tolist(), split.train_searches.tolist()) == ([2], [2])
    assert split.is_target.tolist() == [True, True]  # the first has a search before it
    assert not len(split.requests)


def test_time_split():
    timelines, split = split_of(
        [
            click(50, 2, "a"),
            click(100, 3, "b"),
            click(199, 4, "c"),
            click(200, 5, "d"),
            click(300, 6, "e"),
            shown(99, 2, session="s1"),
            shown(100, 3, session="s2"),
            shown(200, 4, session="s3"),
        ],
        Cuts(100, 200),
    )
    assert (split.train_clicks.tolist(), split.train_searches.tolist()) == ([1], [1])
    assert split.is_target.tolist() == [False] * 5
    assert requests_of(timelines, split) == [
        ("eval", 100, "b", ["a"], [99]),
        ("eval", 199, "c", ["a", "b"], [99, 100]),
        ("test", 200, "d", ["a", "b", "c"], [99, 100]),
        ("test", 300, "e", ["a", "b", "c", "d"], [99, 100, 200]),
    ]


def test_a_target_with_nothing_before_it_gives_no_request():
    timelines, split = split_of([click(150, 2, "a"), click(250, 3, "b"), shown(150, 2)], Cuts(100, 200))
    assert split.train_clicks.tolist() == [0]
    assert [request[2] for request in requests_of(timelines, split)] == ["b"]
    assert len(split.without_history) == 1


DAY = 86_400_000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"split": "time", "eval_share": 0.25, "test_share": 0.5}, (1000 + 2 * DAY, 1000 + 4 * DAY)),
        ({"split": "days", "eval_days": 1.5, "test_days": 2}, (1000 + 4.5 * DAY, 1000 + 6 * DAY)),
        (
            {"split": "time_points", "eval_from": "1970-01-03", "test_from": "1970-01-04T08:00:00+08:00"},
            (2 * DAY, 3 * DAY),
        ),
        ({"split": "time_points", "eval_from": "1970-01-03T00:00:00Z", "test_from": "1970-01-05"}, (2 * DAY, 4 * DAY)),
    ],
)
def test_cuts(values, expected):
    assert time_cuts(1000, 1000 + 8 * DAY, settings_of(**values)) == expected


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (("yesterday", "1970-01-04"), "`eval_from` should be an ISO 8601 time .* Received: 'yesterday'"),
        (("1970-01-05", "1970-01-04"), "`eval_from` should be before `test_from`"),
    ],
)
def test_time_points_that_are_none(points, message):
    with pytest.raises(ValueError, match=message):
        time_cuts(0, 1, settings_of(split="time_points", eval_from=points[0], test_from=points[1]))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), by_time=st.booleans(), eval_cut=st.integers(0, 30), rest=st.integers(0, 30))
def test_nothing_leaks(seed, by_time, eval_cut, rest):
    """In whatever log, no event at or after a target's time is in either of its histories; no click is used twice."""
    cuts = Cuts(eval_cut, eval_cut + rest) if by_time else None
    timelines, split = split_of(random_log(np.random.default_rng(seed)), cuts)
    clicks = list(timelines.clicks.iter_rows())
    search_times = timelines.searches["timestamp"].to_list()
    asked = set(split.requests.tolist())
    without = 0
    for user in range(timelines.users.len()):
        own = range(timelines.click_offsets[user], timelines.click_offsets[user + 1])
        searches = search_times[timelines.search_offsets[user] : timelines.search_offsets[user + 1]]
        trained = own[: split.train_clicks[user]]
        kept = searches[: split.train_searches[user]]
        targets = own[split.train_clicks[user] :]
        for at in own:
            _, time = clicks[at]
            earlier = [other for other in own if clicks[other][1] < time]
            earlier_searches = [when for when in searches if when < time]
            assert split.clicks_before[at] == len(earlier)
            assert list(own[: split.clicks_before[at]]) == earlier
            assert searches[: split.searches_before[at]] == earlier_searches
            known = bool(earlier or earlier_searches)
            assert split.is_target[at] == (known and at in trained)
            assert (at in asked) == (known and at in targets)
            without += at in targets and not known
        found = timelines.searches.rows()[timelines.search_offsets[user] : timelines.search_offsets[user + 1]]
        for place, (time, words, items, _) in enumerate(found):
            at = timelines.search_offsets[user] + place
            earlier = sum(clicks[other][1] < time for other in own), sum(when < time for when in searches)
            assert (split.search_clicks_before[at], split.search_searches_before[at]) == earlier
            # Where an unclicked search is its query alone, items are clicks.
            told = bool(words) or any(earlier)
            assert split.search_is_target[at] == (place < len(kept) and bool(items) and told)
        if by_time:
            assert all(clicks[at][1] < eval_cut for at in trained)
            assert kept == [when for when in searches if when < eval_cut]
        elif len(own) >= 3:
            assert list(targets) == list(own[-2:])
            assert kept == [when for when in searches if when < clicks[own[-2]][1]]
        else:
            assert (list(trained), kept) == (list(own), searches)
    assert len(split.without_history) == without
    assert split.part.tolist() == [
        0
        if at - timelines.click_offsets[user] < split.train_clicks[user]
        else 2
        if (clicks[at][1] >= eval_cut + rest if by_time else at == timelines.click_offsets[user + 1] - 1)
        else 1
        for user in range(timelines.users.len())
        for at in range(timelines.click_offsets[user], timelines.click_offsets[user + 1])
    ]
    for at, is_test in zip(split.requests, split.is_test, strict=True):
        user = split.user[at]
        last = at == timelines.click_offsets[user + 1] - 1
        assert is_test == (clicks[at][1] >= eval_cut + rest if by_time else last)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "random"}, "`split` should be one of leave_one_out, time, days, .* Received: split = 'random'"),
        ({"negative_sampling": "hard"}, "`negative_sampling` should be one of uniform, popularity"),
        ({"num_negatives": 0}, "`num_negatives` should be at least 1"),
        ({"min_clicks": -1}, "`min_clicks` should be at least 0"),
        ({"click_columns": ()}, "`click_columns` should be at least one column"),
        ({"test_share": 1.0}, "`test_share` should be between 0 and 1"),
        ({"test_days": 0}, "`test_days` should be above 0"),
        ({"eval_share": 0.5, "test_share": 0.5}, "less than 1"),
        ({"max_bad_share": 1.5}, "`max_bad_share` should be from 0 to 1"),
        ({"repeated_clicks": "two"}, "`repeated_clicks` should be one of one, keep"),
        ({"max_pool_items": 99}, "`max_pool_items` should be above `num_negatives`. Received: max_pool_items = 99"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        settings_of(**values)


def test_settings_survive_json():
    chosen = settings_of(split="time", eval_share=0.2, seed=7, columns={"user_id": "uid"})
    assert LogSettings.from_json(chosen.to_json()) == chosen
    with pytest.raises(ValueError, match="Received: settings = .'negatives'."):
        LogSettings.from_json('{"log_dir": "x", "negatives": 3}')
