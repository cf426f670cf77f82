"""Whether the two tables of a log belong together: what is counted, and from which counts on somebody is warned."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.tally import NAMED, Tally, add
from components.example_gen.two_tables import compare_tables, find_warnings
from tests.support.log_frames import click, frames, random_log, shown

DAY = 24 * 3_600_000


def report_of(
    both=50,
    only_clicks=50,
    only_searches=50,
    click_days=(0, 10),
    search_days=(0, 10),
    requests=200,
    seen=100,
    clicks=1000,
    repeated=0,
    searches=500,
    **rules,
):
    return {
        "log": {"clicks": clicks, "searches": searches},
        "rules": {
            "repeated_clicks": repeated,
            "unclicked_dropped": 0,
            "empty_searches": 0,
            "searches_left_out": 0,
            **rules,
        },
        "tables": {
            "users_of_clicks": both + only_clicks,
            "users_of_searches": both + only_searches,
            "users_of_both": both,
            "click_times": [round(day * DAY) for day in click_days] if both + only_clicks else None,
            "search_times": [round(day * DAY) for day in search_days],
            "only_clicks": ["7", "8"],
            "only_searches": ["7.0"],
        },
        "splits": {"test_requests": requests, "test_requests_with_search": seen},
    }


@pytest.mark.parametrize(
    "report",
    [
        report_of(),
        report_of(both=5, only_clicks=1000, only_searches=95),  # 5 % of those who search
        report_of(click_days=(0, 10), search_days=(9.2, 30)),  # 2.8 of 12 days, one added at both ends
        report_of(click_days=(1, 5), search_days=(0.5, 0.9)),  # the searches just before the clicks
        report_of(click_days=(0, 0), search_days=(0, 0)),  # one instant
        report_of(seen=2),  # 1 % of the requests
        report_of(repeated=111),  # 10 % of the clicks, but for a ninth of a click
        report_of(clicks=0, both=0, only_clicks=0),  # another check has the word
    ],
    ids=str,
)
def test_nobody_is_warned_at_the_thresholds(report):
    assert find_warnings(report) == []


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (
            report_of(both=4, only_clicks=1000, only_searches=96, seen=3),
            "4 users have both clicks and searches, 1,000 have clicks alone (such as '7', '8'), 96 searches alone "
            "(such as '7.0'): are the ids of users written alike in both tables? 3 of 200 test requests have a "
            "search before them.",
        ),
        (
            report_of(click_days=(0, 10), search_days=(11.5, 20), seen=0),
            "Clicks are from 1970-01-01 00:00 to 1970-01-11 00:00, searches from 1970-01-12 12:00 to 1970-01-21 00:00: "
            "are both tables of one period, and their times in one unit? 0 of 200 test requests have a search before "
            "them.",
        ),
        (
            report_of(click_days=(19_000, 19_010), search_days=(0, 1)),
            "Clicks are from 2022-01-08 00:00 to 2022-01-18 00:00, searches from 1970-01-01 00:00 to 1970-01-02 00:00: "
            "are both tables of one period, and their times in one unit? 100 of 200 test requests have a search "
            "before them.",
        ),
        (
            report_of(seen=1),
            "Only 1 of 200 test requests have a search before them, though 50 users have both clicks and searches: are "
            "the times of the two tables in one unit and one time zone?",
        ),
        (report_of(both=0, only_searches=0, searches=0), "The log has no search: the model learns from clicks alone."),
        (
            report_of(searches=0, unclicked_dropped=30, empty_searches=2),
            "No search is left: 30 have no click (`unclicked_search` = drop), 2 neither a word nor an item.",
        ),
        (
            report_of(searches=0, searches_left_out=9, empty_searches=2, seen=0),
            "No search is left: 9 are of users with fewer clicks than `min_clicks`.",
        ),
        (
            report_of(repeated=112),
            "112 clicks repeat another one of the same user, item and time, and 1,000 do not: is a part of the log "
            "there twice?",
        ),
    ],
)
def test_beyond_a_threshold_the_likely_cause_is_named(report, message):
    assert find_warnings(report) == [message]


def test_users_and_periods_apart_are_both_said():
    assert len(find_warnings(report_of(both=0, search_days=(40, 50), seen=0, repeated=500))) == 3


def test_ids_of_any_kind_stay_on_one_line():
    report = report_of(both=0, only_searches=3)
    report["tables"]["only_searches"] = ["a\nb", "x" * 10_000]
    [warning] = find_warnings(report)
    assert "\n" not in warning and len(warning) < 400 and "'a\\nb', 'xxx" in warning


def test_what_is_counted_of_the_tables():
    rows = [
        click(5, 1, "a", "ann"),
        click(9, 2, "b", "ann"),
        click(7, 3, "a", "bob"),
        shown(2, 1, user="bob"),
        shown(30, 2, "x", user="cid"),
        shown(4, 3, user="dan"),
        shown(4, 4, user="eve"),
        shown(4, 5, user="fay"),
    ]
    assert compare_tables(*frames(rows)) == (
        {"users_of_clicks": 2, "users_of_searches": 5, "users_of_both": 1},
        {"click_times": (5, 9), "search_times": (2, 30), "clicks_of_a_user": (1, 2)},
        {"only_clicks": ["ann"], "only_searches": ["cid", "dan", "eve"]},
    )
    assert compare_tables(*frames([])) == (
        {"users_of_clicks": 0, "users_of_searches": 0, "users_of_both": 0},
        {},
        {"only_clicks": [], "only_searches": []},
    )


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_shards_add_up_to_the_whole(seed, shards):
    rows = random_log(np.random.default_rng(seed), users=9, rows=25)
    parts = [
        compare_tables(*frames([row for row in rows if int(row["user"][1:]) % shards == shard]))
        for shard in range(shards)
    ]
    whole = compare_tables(*frames(rows))
    assert add(parts) == whole
    assert add([add(parts[:1]), add(parts[1:])]) == whole
    assert add([]) == Tally({}, {}, {})
    assert all(len(users) <= NAMED for users in whole.users.values())
    clicks, searches = frames(rows)
    assert whole.counts["users_of_both"] == len(set(clicks["user"]) & set(searches["user"]))
    assert whole.ranges["clicks_of_a_user"][1] == max(Counter(clicks["user"]).values())
