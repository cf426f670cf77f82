"""Rows to timelines: order, ties, the rows of a search, reading rules."""

import numpy as np
import pytest

from components.example_gen.timeline import build_timelines, distinct_clicks
from tests.support.log_frames import click, frames, of_user, random_log, settings_of, shown


def build(rows, **settings):
    return build_timelines(*frames(rows), settings_of(**settings))


def test_ties_are_ordered_by_line_and_input_order_does_not_matter():
    rows = [click(20, 5, "c"), click(10, 9, "b"), click(10, 2, "a"), shown(10, 7), shown(5, 8, "x")]
    for order in (rows, rows[::-1]):
        clicks, searches = of_user(build(order)[0])
        assert clicks == [(10, "a"), (10, "b"), (20, "c")]
        assert searches == [(5, ("w",), ("x",)), (10, ("w",), ())]


def test_rows_of_a_search_are_gathered():
    timelines, counts = build(
        [
            shown(5, 2, "z", False),
            shown(5, 3, "b"),
            shown(5, 4, "c", session="other"),  # comes between rows of "s"
            shown(5, 6, "a"),
            shown(5, 7, "b"),  # "b" again
            shown(5, 8, "z", False, words=("v",)),  # the session id recurs with another query
            shown(6, 9),
            shown(5, 10, "d", source="HISTORY"),
        ]
    )
    assert of_user(timelines)[1] == [
        (5, ("w",), ("b", "a")),
        (5, ("w",), ("c",)),
        (5, ("v",), ()),
        (5, ("w",), ("d",)),
        (6, ("w",), ()),
    ]
    assert counts["repeated_results"] == 1
    assert (counts["searches"], counts["searches_with_click"], counts["searches_without_click"]) == (5, 3, 2)


def test_conflicting_click_flags_are_a_click():
    for flags in ((True, False), (False, True)):
        timelines, counts = build([shown(5, 2 + place, "a", flag) for place, flag in enumerate(flags)])
        assert of_user(timelines)[1] == [(5, ("w",), ("a",))]
        assert counts["conflicting_clicks"] == 1


@pytest.mark.parametrize(
    ("rule", "expected", "counted"),
    [
        ("query", [(5, ("w",), ()), (6, ("w",), ("c",)), (7, ("w",), ())], {}),
        ("first_shown", [(5, ("w",), ("b",)), (6, ("w",), ("c",)), (7, ("w",), ())], {"unclicked_first_shown": 1}),
        ("drop", [(6, ("w",), ("c",))], {"unclicked_dropped": 2}),
    ],
)
def test_what_stands_for_a_search_without_a_click(rule, expected, counted):
    """The last one's results are not known."""
    timelines, counts = build(
        [shown(5, 3, "a", False), shown(5, 2, "b", False), shown(6, 4, "d", False), shown(6, 5, "c"), shown(7, 6)],
        unclicked_search=rule,
    )
    assert of_user(timelines)[1] == expected
    assert {name: counts[name] for name in ("unclicked_first_shown", "unclicked_dropped") if counts[name]} == counted


def test_searches_keep_all_clicked_items_and_empty_ones_are_left_out():
    timelines, counts = build(
        [shown(5, line, f"i{line}") for line in range(4)] + [shown(6, 9, words=())], items_per_search=3
    )
    assert of_user(timelines)[1] == [(5, ("w",), ("i0", "i1", "i2", "i3"))]
    assert (counts["searches_cut"], counts["empty_searches"]) == (1, 1)


def test_a_search_that_stands_twice_is_one_and_every_row_too_many_is_counted():
    """With results, and without any: clicked, not clicked, unknown."""
    rows = [shown(5, 2, "a"), shown(5, 3, "b", False), shown(6, 4)]
    timelines, counts = build(rows + [{**row, "line": row["line"] + 10} for row in rows])
    assert of_user(timelines)[1] == [(5, ("w",), ("a",)), (6, ("w",), ())]
    assert (counts["searches"], counts["repeated_results"], counts["conflicting_clicks"]) == (2, 3, 0)


def test_of_equal_clicks_the_first_is_kept():
    rows = [click(10, 9, "a"), click(10, 2, "a"), click(10, 3, "b"), click(11, 4, "a"), click(10, 5, "a", "other")]
    clicks, _ = frames(rows)
    kept = distinct_clicks(clicks, settings_of()).sort("line")
    assert kept.select("user", "item", "timestamp", "line").rows() == [
        ("u", "a", 10, 2),
        ("u", "b", 10, 3),
        ("u", "a", 11, 4),
        ("other", "a", 10, 5),
    ]
    assert distinct_clicks(clicks, settings_of(repeated_clicks="keep")).height == 5


def test_users_with_few_clicks_are_left_out():
    rows = [
        click(1, 1, "a", "ann"),
        click(2, 2, "b", "ann"),
        click(1, 3, "a", "bob"),
        shown(1, 4, "a", user="bob"),
        shown(2, 5, "a", user="bob"),
        shown(1, 6, "a", user="cid"),
        shown(3, 7, "c", user="ann"),
    ]
    timelines, counts = build(rows, min_clicks=2)
    assert timelines.users.to_list() == ["ann"]
    assert of_user(timelines) == ([(1, "a"), (2, "b")], [(3, ("w",), ("c",))])
    assert (counts["users_left_out"], counts["clicks_left_out"], counts["searches_left_out"]) == (2, 1, 3)


@pytest.mark.parametrize("seed", range(20))
def test_timelines_are_those_that_one_row_after_the_other_gives(seed):
    rows = random_log(np.random.default_rng(seed))
    timelines, counts = build(rows)
    users = sorted(
        {row["user"] for row in rows if "session" not in row}
        | {row["user"] for row in rows if "session" in row and (row["words"] or row["clicked"])}
    )
    assert timelines.users.to_list() == users
    for index, user in enumerate(users):
        clicks = sorted(
            (row["timestamp"], row["line"], row["item"]) for row in rows if row["user"] == user and "session" not in row
        )
        searches = {}
        for row in sorted((row for row in rows if row["user"] == user and "session" in row), key=lambda r: r["line"]):
            key = row["timestamp"], row["session"], tuple(row["words"])
            found = searches.setdefault(key, {"line": row["line"], "items": {}})["items"]
            found[row["item"]] = found.get(row["item"], False) or row["clicked"]
        ordered = sorted(
            (key[0], value["line"], key[2], tuple(item for item, hit in value["items"].items() if hit))
            for key, value in searches.items()
        )
        assert of_user(timelines, index) == (
            [(time, item) for time, _, item in clicks],
            [(time, words, items) for time, _, words, items in ordered if words or items],
        )
    assert counts["users"] == len(users)
