"""Timelines, splits and negatives: pure functions, expectations worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.events import CLICK, SHOWN, Click, Search
from components.example_gen.negatives import ItemPool, draw, request_rng
from components.example_gen.settings import LogSettings
from components.example_gen.splits import Cuts, Request, split_user, time_cuts
from components.example_gen.timeline import build_timeline, searches_before


def _click(timestamp, line, item):
    return (CLICK, float(timestamp), line, item)


def _shown(timestamp, line, item="", session="s", words=("w",), source=""):
    return (SHOWN, float(timestamp), line, session, words, source, item)


def _settings(**values):
    return LogSettings(log_dir="log", **values)


def _items(clicks):
    return [click.item for click in clicks]


def test_ties_are_ordered_by_line_and_input_order_does_not_matter():
    rows = [_click(20, 5, "c"), _click(10, 9, "b"), _click(10, 2, "a"), _shown(10, 7), _shown(5, 8, "x")]
    timeline = build_timeline("u", rows)
    assert _items(timeline.clicks) == ["a", "b", "c"]
    assert [search.timestamp for search in timeline.searches] == [5, 10]
    assert build_timeline("u", rows[::-1]) == timeline


def test_rows_of_a_search_are_gathered():
    timeline = build_timeline("u", [
        _shown(5, 2, ""), _shown(5, 3, "b"),
        _shown(5, 4, "c", session="other"),                         # comes between rows of "s"
        _shown(5, 6, "a"), _shown(5, 7, "b"),                       # "b" again
        _shown(5, 8, "", words=("v",)),                             # the session id recurs with another query
        _shown(6, 9, ""), _shown(5, 10, "d", source="HISTORY"),
    ])
    assert timeline.searches == [
        Search(5.0, 2, ("w",), ("b", "a")), Search(5.0, 4, ("w",), ("c",)), Search(5.0, 8, ("v",), ()),
        Search(5.0, 10, ("w",), ("d",)), Search(6.0, 9, ("w",), ())]


def test_conflicting_click_flags_are_a_click():
    for rows in ([_shown(5, 2, "a"), _shown(5, 3, "")], [_shown(5, 2, ""), _shown(5, 3, "a")]):
        assert build_timeline("u", rows).searches == [Search(5.0, 2, ("w",), ("a",))]


def test_only_strictly_earlier_searches_count():
    timeline = build_timeline("u", [_click(5, 2, "a"), _click(10, 3, "b"), _click(11, 4, "c"),
                                    _shown(5, 2), _shown(10, 3, session="t"), _shown(10, 4, session="v")])
    assert searches_before(timeline.clicks, timeline.searches) == [0, 1, 3]
    assert searches_before([], timeline.searches) == []
    assert searches_before(timeline.clicks, []) == [0, 0, 0]


def test_leave_one_out():
    timeline = build_timeline("u", [
        _click(10, 2, "a"), _click(20, 3, "b"), _click(30, 4, "c"), _click(30, 5, "d"),
        _shown(10, 2, "x", "s1"), _shown(15, 3, "", "s2"), _shown(30, 4, "y", "s3"), _shown(40, 5, "z", "s4")])
    training, requests, without_history = split_user(timeline, _settings(), None)
    assert _items(training.clicks) == ["a", "b"]
    assert [search.timestamp for search in training.searches] == [10, 15]
    assert training.searches_before == [0, 2]
    assert training.is_target == [0, 1]
    assert [(r.split, r.target.item, _items(r.clicks), [s.timestamp for s in r.searches]) for r in requests] == [
        ("eval", "c", ["a", "b"], [10, 15]), ("test", "d", ["a", "b", "c"], [10, 15])]
    assert without_history == 0


def test_leave_one_out_trains_on_all_of_a_short_user():
    timeline = build_timeline("u", [_click(10, 2, "a"), _click(20, 3, "b"), _shown(5, 2), _shown(99, 3)])
    training, requests, _ = split_user(timeline, _settings(), None)
    assert _items(training.clicks) == ["a", "b"]
    assert len(training.searches) == 2
    assert training.is_target == [1, 1]  # the first has a search before it
    assert requests == []


def test_time_split():
    cuts = Cuts(100.0, 200.0)
    timeline = build_timeline("u", [
        _click(50, 2, "a"), _click(100, 3, "b"), _click(199, 4, "c"), _click(200, 5, "d"), _click(300, 6, "e"),
        _shown(99, 2, "", "s1"), _shown(100, 3, "", "s2"), _shown(200, 4, "", "s3")])
    training, requests, without_history = split_user(timeline, _settings(split="time"), cuts)
    assert _items(training.clicks) == ["a"]
    assert [search.timestamp for search in training.searches] == [99]
    assert training.is_target == [0]
    assert [(r.split, r.target.item, _items(r.clicks), [s.timestamp for s in r.searches]) for r in requests] == [
        ("eval", "b", ["a"], [99]), ("eval", "c", ["a", "b"], [99, 100]),
        ("test", "d", ["a", "b", "c"], [99, 100]), ("test", "e", ["a", "b", "c", "d"], [99, 100, 200])]
    assert without_history == 0


def test_a_target_with_nothing_before_it_gives_no_request():
    timeline = build_timeline("u", [_click(150, 2, "a"), _click(250, 3, "b"), _shown(150, 2)])
    training, requests, without_history = split_user(timeline, _settings(split="time"), Cuts(100.0, 200.0))
    assert training.clicks == []
    assert [request.target.item for request in requests] == ["b"]
    assert without_history == 1


def test_cuts_are_linear_in_time():
    assert time_cuts(1000.0, 2000.0, _settings(split="time", eval_share=0.25, test_share=0.5)) == Cuts(1250.0, 1500.0)


def test_requests_keep_the_newest_events():
    rows = [_click(10 * n, n, str(n)) for n in range(1, 9)] + [_shown(10 * n + 1, n, session=str(n)) for n in range(9)]
    _, requests, _ = split_user(build_timeline("u", rows), _settings(rec_length=3, search_length=2), None)
    assert _items(requests[1].clicks) == ["5", "6", "7"]
    assert [search.timestamp for search in requests[1].searches] == [61, 71]


_rows = st.lists(st.tuples(st.sampled_from([CLICK, SHOWN]), st.integers(0, 30), st.integers(0, 5)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(drawn=_rows, by_time=st.booleans(), eval_cut=st.integers(0, 30), rest=st.integers(0, 30))
def test_nothing_leaks(drawn, by_time, eval_cut, rest):
    rows = [_click(time, line, str(item)) if kind == CLICK else _shown(time, line, str(item), session=str(line))
            for line, (kind, time, item) in enumerate(drawn)]
    cuts = Cuts(float(eval_cut), float(eval_cut + rest)) if by_time else None
    timeline = build_timeline("u", rows)
    training, requests, without_history = split_user(timeline, _settings(rec_length=4, search_length=3), cuts)

    # Every click is used once, as a training event or as a target.
    targets = [request.target for request in requests]
    assert len(training.clicks) + len(targets) + without_history == len(timeline.clicks)
    assert not set(training.clicks) & set(targets)
    for request in requests:
        when = (request.target.timestamp, request.target.line)
        before = [click for click in timeline.clicks if (click.timestamp, click.line) < when]
        assert request.clicks == before[-4:]
        assert all(search.timestamp < request.target.timestamp for search in request.searches)
        earlier = [search for search in timeline.searches if search.timestamp < request.target.timestamp]
        assert request.searches == earlier[-3:]
        assert all((click.timestamp, click.line) < when for click in training.clicks)
        assert all(search.timestamp < request.target.timestamp for search in training.searches)
    for click, count, target in zip(training.clicks, training.searches_before, training.is_target, strict=True):
        earlier = [search for search in training.searches if search.timestamp < click.timestamp]
        assert count == len(earlier)
        assert target == int(bool(earlier) or click != training.clicks[0])
    if by_time:
        assert all(click.timestamp < eval_cut for click in training.clicks)
        assert all((r.target.timestamp < eval_cut + rest) == (r.split == "eval") for r in requests)


def _pool(size=500):
    return ItemPool.of((f"i{n}", n % 7 + 1) for n in range(size))


def _request(item="i3", timestamp=5.0, split="test"):
    return Request(split, Click(timestamp, 1, item), [], [])


def test_pool_is_sorted_whatever_the_order():
    pool = ItemPool.of([("b", 2), ("a", 1), ("c", 4)])
    assert pool.items == [b"a", b"b", b"c"]
    assert pool.cumulative_clicks.tolist() == [1, 3, 7]
    assert pool.indices({"c", "a", "zz", "0"}) == {0, 2}


@pytest.mark.parametrize("by_popularity", [False, True])
@pytest.mark.parametrize("size", [130, 500])
def test_negatives_are_distinct_and_never_the_users(by_popularity, size):
    pool = _pool(size)
    excluded = pool.indices(f"i{n}" for n in range(20, 50))
    assert len(excluded) == 30
    for seed in range(20):
        drawn = draw(pool, excluded, 99, by_popularity, np.random.default_rng(seed))
        assert len(drawn) == len(set(drawn)) == 99
        assert not excluded & set(drawn)
        assert all(0 <= index < size for index in drawn)


def test_a_pool_that_just_suffices_is_drawn_whole_and_a_smaller_one_not():
    pool, rng = _pool(10), np.random.default_rng(0)
    assert set(draw(pool, {0, 9}, 8, True, rng)) == set(range(1, 9))
    assert draw(pool, {0, 9}, 9, True, rng) is None


def test_one_item_that_dominates_does_not_stop_the_draw():
    pool = ItemPool.of([("a", 10**12), *((f"i{n}", 1) for n in range(200))])
    assert len(set(draw(pool, set(), 99, True, np.random.default_rng(0)))) == 99


def test_popularity_weighs_by_clicks():
    pool = ItemPool.of([("a", 90), ("b", 9), ("c", 1)])
    rng = np.random.default_rng(0)
    share = np.bincount([draw(pool, set(), 1, True, rng)[0] for _ in range(3000)], minlength=3) / 3000
    np.testing.assert_allclose(share, [0.9, 0.09, 0.01], atol=0.02)
    share = np.bincount([draw(pool, set(), 1, False, rng)[0] for _ in range(3000)], minlength=3) / 3000
    np.testing.assert_allclose(share, [1 / 3] * 3, atol=0.04)


def test_rng_depends_on_the_request_alone():
    def first(*arguments):
        return request_rng(*arguments).integers(2**62)

    base = first(1, "u", _request())
    assert first(1, "u", _request()) == base
    others = [first(2, "u", _request()), first(1, "v", _request()), first(1, "u", _request(item="i4")),
              first(1, "u", _request(timestamp=6.0)), first(1, "u", _request(split="eval"))]
    assert len({base, *others}) == 6


@pytest.mark.parametrize(("values", "message"), [
    ({"split": "random"}, "`split` should be one of leave_one_out, time. Received: split = 'random'"),
    ({"negative_sampling": "hard"}, "`negative_sampling` should be one of uniform, popularity"),
    ({"num_negatives": 0}, "`num_negatives` should be at least 1"),
    ({"test_share": 1.0}, "`test_share` should be between 0 and 1"),
    ({"eval_share": 0.5, "test_share": 0.5}, "less than 1"),
    ({"max_bad_share": 1.5}, "`max_bad_share` should be from 0 to 1"),
])
def test_settings_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        _settings(**values)


def test_settings_survive_json():
    chosen = _settings(split="time", eval_share=0.2, seed=7)
    assert LogSettings.from_json(chosen.to_json()) == chosen
    with pytest.raises(ValueError, match="Received: settings = .'negatives'."):
        LogSettings.from_json('{"log_dir": "x", "negatives": 3}')
