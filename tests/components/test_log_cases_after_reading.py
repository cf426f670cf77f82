"""Odd logs from the first row to the report: doubled parts, a user who clicked everything, nobody who clicked.

Each is made here; the folders of the same names are run too where they lie beside the repository.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from components.example_gen.errors import LogError
from components.example_gen.log_report import format_counts
from model import contract as inputs
from model.config import LcrSerConfig
from model.data.columns import Column
from model.data.timelines import Histories, history_arrays
from model.data.windows import Windows

CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "cases"
START = 1_714_543_200_000
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the repository (../shared/data)")


def write_log(directory, clicks, searches=(), name="recommendations.csv"):
    """In event form: clicks as (user, item, second[, clicked]), searches as (user, second, items)."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "item_id", "timestamp_ms", "clicked"])
        rows.writerows([user, item, START + 1000 * second, *(rest or [1])] for user, item, second, *rest in clicks)
    with (directory / "searches.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "timestamp_ms", "query_words", "clicked_item_ids"])
        rows.writerows([user, START + 1000 * second, "shoe", json.dumps(items)] for user, second, items in searches)
    return directory


def clicks_of(users=6, items=20, each=8, step=3):
    """Each user clicks `each` times, some items more than once."""
    return [
        (f"u{user}", f"i{(user * step + turn * turn) % items}", 10 + turn)
        for user in range(users)
        for turn in range(each)
    ]


def run_events(run_log, directory, **settings):
    return run_log(directory, source="events", **{"num_negatives": 3, **settings})


def targets(run, split):
    return {
        request["user"][0]: (request["candidates"][request["label"][0]], len(request["rec_items"]))
        for request in run.parsed(split)
    }


# Doubled rows

SEARCHES = [(f"u{user}", 5, ["i3"]) for user in range(6)]


@pytest.mark.parametrize("shard_bytes", [64 << 20, 300], ids=["one shard", "many shards"])
def test_a_part_that_is_there_twice_changes_nothing_but_the_report(run_log, tmp_path, shard_bytes):
    """Negatives by popularity: the pool counts a click once as well, whatever file or shard it is in."""
    settings = {"negative_sampling": "popularity", "shard_bytes": shard_bytes, "items_per_search": 1}
    clicks = clicks_of()
    log = tmp_path / "log"
    for part, rows in enumerate((clicks[::2], clicks[1::2])):
        write_log(log, rows, SEARCHES, f"recommendations/part-{part}.csv")
    once = run_events(run_log, log, **settings)
    shutil.copy(log / "recommendations" / "part-0.csv", log / "recommendations" / "part-0 (1).csv")
    (log / "searches.csv").write_text(
        (log / "searches.csv").read_text() + "".join((log / "searches.csv").read_text().splitlines(True)[1:])
    )
    twice = run_events(run_log, log, **settings)
    assert twice.records == once.records
    assert once.report["rules"]["repeated_clicks"] == once.report["rules"]["repeated_results"] == 0
    assert once.report["warnings"] == []
    assert twice.report["rules"]["repeated_clicks"] == 24 and twice.report["rules"]["repeated_results"] == 6
    for part in ("log", "splits"):
        assert {**once.report[part], "example_bytes": 0} == {**twice.report[part], "example_bytes": 0}
    assert once.report["log"]["clicks"] == 48
    text = format_counts(twice.report)
    assert ": 48 clicks" in text and "24 clicks repeated, of equal user, item and time: counted once" in text
    assert "WARNING: 24 clicks repeat another one of the same user, item and time, and 48 do not" in text


@pytest.mark.slow
def test_a_setting_keeps_repeated_clicks(run_log, tmp_path):
    log = write_log(tmp_path / "log", clicks_of() * 2, SEARCHES)
    kept = run_events(run_log, log, repeated_clicks="keep")
    assert kept.report["log"]["clicks"] == 96 and kept.report["rules"]["repeated_clicks"] == 0
    assert targets(kept, "eval") == targets(kept, "test")  # what the rule is there for
    one = run_events(run_log, log)
    assert one.report["log"]["clicks"] == 48
    assert not {user for user in targets(one, "eval") if targets(one, "eval")[user] == targets(one, "test")[user]}


@pytest.mark.slow
@needs_cases
def test_case_duplicate_part(run_log):
    run = run_events(run_log, CASES / "duplicate_part")
    assert (run.report["log"]["clicks"], run.report["rules"]["repeated_clicks"]) == (20, 20)
    assert len(targets(run, "test")) == 4
    assert all(targets(run, "eval")[user] != targets(run, "test")[user] for user in targets(run, "test"))


# One user who clicked everything


def power_log(directory, ordinary=20, powerful=1):
    everything = [(f"power{user}", f"i{item}", 100 + item) for user in range(powerful) for item in range(20)]
    return write_log(directory, clicks_of(ordinary) + everything, [("u0", 5, [])])


@pytest.mark.slow
@pytest.mark.parametrize("num_negatives", [1, 8])
def test_a_user_who_clicked_everything_is_set_aside_and_named(run_log, tmp_path, num_negatives):
    run = run_events(run_log, power_log(tmp_path / "log"), num_negatives=num_negatives)
    for split in ("eval", "test"):
        assert set(targets(run, split)) == {f"u{user}".encode() for user in range(20)}
    assert b"power0" in {timeline["user"][0] for timeline in run.parsed("train")}
    splits = run.report["splits"]
    assert (splits["without_candidates"], splits["users_without_candidates"], splits["test_requests"]) == (2, 1, 20)
    warning = (
        f"2 of 42 requests were set aside, those of 1 users (such as 'power0'): fewer than `num_negatives` = "
        f"{num_negatives} of 20 items are left that the user never clicked."
    )
    assert warning in run.report["warnings"]
    assert f"WARNING: {warning}" in format_counts(run.report).splitlines()


@pytest.mark.slow
def test_where_a_tenth_of_the_requests_is_not_left_the_run_stops_and_names_the_cause(run_log, tmp_path):
    """Of 18 users and one who clicked less, 2 of 38 requests are left."""
    log = power_log(tmp_path / "log", ordinary=1, powerful=18)
    with pytest.raises(
        LogError,
        match=r"^36 of 38 requests were set aside, those of 18 users \(such as 'power0', "
        r"'power1', 'power10'\): .* of 20 items are left that the user never clicked. "
        r"Bring a log with more items, or let in what the user clicked by "
        r"`negatives_avoid`",
    ):
        run_events(run_log, log, num_negatives=1)
    past = run_events(run_log, log, num_negatives=1, negatives_avoid="none")
    assert past.report["splits"]["test_requests"] == 19


def test_requests_that_were_set_aside_may_be_exported_and_imported(run_log, tmp_path):
    log = power_log(tmp_path / "log")
    run = run_events(run_log, log, export_candidates=True)
    exported = pl.read_parquet(run.candidates)
    aside = exported.filter(pl.col("candidates").list.len() == 0)
    assert aside.select("user", "label").rows() == [("power0", -1)] * 2
    again = run_events(run_log, log, candidates_file=f"{run.candidates}/*.parquet")
    assert again.records == run.records
    assert again.report["splits"]["without_candidates"] == 2
    assert any(" has no candidates for them." in warning for warning in again.report["warnings"])


def test_a_pattern_of_candidates_that_matches_nothing_stops_the_run_at_once(run_log, tmp_path):
    with pytest.raises(
        LogError,
        match=r"`candidates_file` should name a file or a pattern .* Received: "
        r".*/none-\*.parquet",
    ):
        run_events(run_log, power_log(tmp_path / "log"), candidates_file=f"{tmp_path}/none-*.parquet")


@needs_cases
@pytest.mark.parametrize("num_negatives", [1, 5])
def test_case_one_user_clicked_everything(run_log, num_negatives):
    run = run_events(run_log, CASES / "one_user_clicked_everything", num_negatives=num_negatives)
    splits = run.report["splits"]
    assert (splits["eval_requests"], splits["test_requests"], splits["without_candidates"]) == (30, 30, 2)
    assert b"power" not in targets(run, "test")
    assert "(such as 'power')" in run.report["warnings"][0]


# Nobody clicked


@pytest.mark.slow
def test_where_no_row_is_clicked_the_column_that_says_so_is_named(run_log, tmp_path):
    log = write_log(tmp_path / "log", [(*row, 0) for row in clicks_of()], SEARCHES)
    with pytest.raises(
        LogError, match="None of 48 recommended items was clicked: `clicked` is neither true nor above 0"
    ):
        run_events(run_log, log)


@pytest.mark.slow
def test_where_min_clicks_leaves_nobody_the_largest_number_is_named(run_log, tmp_path):
    log = write_log(tmp_path / "log", clicks_of() * 2, SEARCHES)  # sixteen rows a user, eight of them distinct
    with pytest.raises(
        LogError, match="All 6 users have fewer clicks than `min_clicks` = 9: the most that one has is 8"
    ):
        run_events(run_log, log, min_clicks=9)
    assert run_events(run_log, log, min_clicks=8).report["log"]["users"] == 6


def test_where_all_clicks_of_a_user_have_one_time_that_is_said(run_log, tmp_path):
    log = write_log(tmp_path / "log", [(user, item, 10) for user, item, _ in clicks_of()], [("u0", 20, [])])
    with pytest.raises(LogError, match="all clicks of a user have one and the same time"):
        run_events(run_log, log)


@pytest.mark.slow
@needs_cases
def test_case_nobody_clicked(run_log):
    with pytest.raises(
        LogError, match="None of 20 recommended items was clicked: `clicked` is neither true nor above 0"
    ):
        run_events(run_log, CASES / "nobody_clicked")


# Tables that do not belong together


def test_users_that_are_written_differently_are_told_on_the_console(run_log, tmp_path):
    clicks = [(user[1:], item, second) for user, item, second in clicks_of()]
    log = write_log(tmp_path / "log", clicks, [(f"{user}.0", 5, ["i3"]) for user in range(6)])
    run = run_events(run_log, log)
    [warning] = run.report["warnings"]
    assert warning.startswith(
        "0 users have both clicks and searches, 6 have clicks alone (such as '0', '1', '2'), 6 "
        "searches alone (such as '0.0', '1.0', '2.0'): are the ids of users written alike"
    )
    assert f"WARNING: {warning}" in format_counts(run.report)


@pytest.mark.slow
def test_clicks_of_another_period_than_the_searches_are_told(run_log, tmp_path):
    year = 365 * 86_400
    late = [(f"u{user}", year, ["i3"]) for user in range(6)]
    run = run_events(run_log, write_log(tmp_path / "log", clicks_of(), late))
    assert run.report["warnings"] == [
        "Clicks are from 2024-05-01 06:00 to 2024-05-01 06:00, searches from 2025-05-01 06:00 to 2025-05-01 06:00: "
        "are both tables of one period, and their times in one unit? 0 of 6 test requests have a search before them."
    ]
    clicks = [*clicks_of(), *((f"v{user}", "i1", year) for user in range(6))]
    run = run_events(run_log, write_log(tmp_path / "long", clicks, late))
    assert run.report["warnings"] == [
        "Only 0 of 6 test requests have a search before them, though 6 users have both clicks and searches: are the "
        "times of the two tables in one unit and one time zone?"
    ]


# What a search led to


def long_searches():
    """Six items in each search: of twenty, a user has clicked all but a few."""
    return [
        (f"u{user}", second, [f"i{(5 * user + 6 * second + n) % 20}" for n in range(6)])
        for user in range(6)
        for second in (1, 2)
    ]


def everything_clicked(clicks, searches):
    own = {}
    for user, item, *_ in clicks:
        own.setdefault(user.encode(), set()).add(item.encode())
    for user, _, items in searches:
        own.setdefault(user.encode(), set()).update(item.encode() for item in items)
    return own


@pytest.mark.parametrize("items_per_search", [1, 2, 6])
def test_no_negative_was_ever_clicked_in_a_search(run_log, tmp_path, items_per_search):
    """Whoever clicked the most has just as many items left as a request has negatives."""
    clicks, searches = clicks_of(each=5), long_searches()
    pool = {item.encode() for _, item, _ in clicks}
    left = {user: pool - items for user, items in everything_clicked(clicks, searches).items()}
    count = min(map(len, left.values()))
    run = run_events(
        run_log, write_log(tmp_path / "log", clicks, searches), items_per_search=items_per_search, num_negatives=count
    )
    asked = run.parsed("eval") + run.parsed("test")
    assert len(asked) == 12
    for request in asked:
        negatives = set(request["candidates"]) - {request["candidates"][request["label"][0]]}
        assert len(negatives) == count and negatives <= left[request["user"][0]]
        assert max(request["search_item_counts"]) == items_per_search
    for timeline in run.parsed("train"):
        assert timeline["search_item_counts"] == [6, 6]
        own = [items for user, _, items in searches if user.encode() == timeline["user"][0]]
        assert timeline["search_items"] == [item.encode() for items in own for item in items]
    assert run.report["rules"]["searches_cut"] == (12 if items_per_search < 6 else 0)


def test_the_model_sees_of_a_timeline_what_it_saw_of_one_that_was_cut(run_log, tmp_path):
    config = LcrSerConfig(
        num_users=9,
        num_items=40,
        num_words=9,
        dim=4,
        rec_length=3,
        search_length=2,
        words_per_search=1,
        items_per_search=2,
    )
    run = run_events(
        run_log, write_log(tmp_path / "log", clicks_of(each=5), long_searches()), items_per_search=2, num_negatives=1
    )
    timelines = sorted(run.parsed("train"), key=lambda timeline: timeline["user"][0])
    cut = [
        {
            **timeline,
            "search_item_counts": [2, 2],
            "search_items": timeline["search_items"][:2] + timeline["search_items"][6:8],
        }
        for timeline in timelines
    ]
    whole, short = (batch_of(examples, config) for examples in (timelines, cut))
    for name, values in short.items():
        np.testing.assert_array_equal(whole[name], values)
    assert (short[inputs.SEARCH_ITEMS] > 0).all()


def batch_of(examples, config):
    """The whole timelines as a model batch; ids are numbers of the strings."""

    def number(value):
        if isinstance(value, int):
            return value
        return 2 + int(value[1:]) if value[:1] in {b"i", b"u"} else 2

    def column(name):
        values = [[number(value) for value in example[name]] for example in examples]
        dtype = np.int64 if name in inputs.TIME_FEATURES else np.int32
        return Column(np.concatenate(values).astype(dtype), np.array([len(row) for row in values], np.int32))

    arrays = history_arrays({name: column(name) for name in (*inputs.HISTORY_FEATURES, *inputs.TIME_FEATURES)})
    rows = tf.range(len(examples))
    windows = Windows(Histories(**arrays), config)
    return {
        name: tensor.numpy()
        for name, tensor in windows.gather(
            rows, tf.constant(arrays["rec_offsets"][1:]), tf.constant(arrays["search_offsets"][1:])
        ).items()
    }
