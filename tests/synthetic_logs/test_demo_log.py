"""The demo log: bytes, form, habits, and that ExampleGen counts what is in it."""

import csv
import gzip
import os
from collections import Counter, defaultdict

import numpy as np
import pytest

from synthetic_logs.demo import DemoLogSettings, write_demo_log

SMALL = DemoLogSettings(num_users=150, num_topics=6, subtopics=4)
FILES = ("rec_inter", "src_inter", "item_features", "user_features", "social_network")


@pytest.fixture(scope="module")
def demo_log(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo_log")
    write_demo_log(directory, SMALL)
    return directory


def _rows(directory, name):
    with gzip.open(directory / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def _contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_same_settings_give_the_same_bytes(demo_log, tmp_path):
    write_demo_log(tmp_path, SMALL)
    assert _contents(tmp_path) == _contents(demo_log)
    assert set(_contents(tmp_path)) == {"demo_log.json", *(f"{name}.csv.gz" for name in FILES)}


def test_a_log_that_is_there_is_left_alone_and_another_replaced(tmp_path):
    write_demo_log(tmp_path, DemoLogSettings(num_users=5))
    path = tmp_path / "rec_inter.csv.gz"
    before = path.read_bytes()
    os.utime(path, (1, 1))
    write_demo_log(tmp_path, DemoLogSettings(num_users=5))
    assert path.stat().st_mtime == 1
    write_demo_log(tmp_path, DemoLogSettings(num_users=6))
    assert path.read_bytes() != before


def test_an_interrupted_log_is_written_anew(demo_log, tmp_path):
    write_demo_log(tmp_path, SMALL)
    stamp = tmp_path / "demo_log.json"
    stamp.write_text(stamp.read_text().replace('"complete": true', '"complete": false'))
    (tmp_path / "src_inter.csv.gz").unlink()
    write_demo_log(tmp_path, SMALL)
    assert _contents(tmp_path) == _contents(demo_log)


def test_a_log_of_someone_else_is_not_touched(tmp_path):
    (tmp_path / "rec_inter.csv").write_text("precious")
    with pytest.raises(FileExistsError, match="holds rec_inter.csv, which is no demo log"):
        write_demo_log(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["rec_inter.csv"]


def test_columns_are_those_of_kuaisar(demo_log):
    assert list(_rows(demo_log, "rec_inter")[0]) == [
        "user_id",
        "item_id",
        "duration_ms",
        "playing_time",
        "timestamp",
        "forward",
        "like",
        "follow",
        "search_item_related",
        "search",
        "click",
        "time",
    ]
    assert list(_rows(demo_log, "src_inter")[0]) == [
        "keyword",
        "item_id",
        "click_cnt",
        "search_session_id",
        "item_type",
        "user_id",
        "search_session_timestamp",
        "search_source",
        "search_session_time",
    ]
    assert len(_rows(demo_log, "item_features")[0]) == 19
    assert list(_rows(demo_log, "user_features")[0])[-1] == "reco_active_level"
    assert list(_rows(demo_log, "social_network")[0]) == ["user_id", "user_follow_id"]


def test_habits(demo_log):
    rec = [row for row in _rows(demo_log, "rec_inter") if row["time"]]
    clicked = np.array([int(row["click"]) for row in rec])
    assert clicked.mean() == pytest.approx(0.5, abs=0.03)
    batches = Counter((row["user_id"], row["timestamp"]) for row in rec)
    assert set(batches.values()) <= {1, *range(4, 9)}  # 1: a broken row
    searches = defaultdict(int)
    for row in _rows(demo_log, "src_inter"):
        searches[row["search_session_id"], row["user_id"]] += int(row["click_cnt"] or 0)
    assert np.mean([count > 0 for count in searches.values()]) == pytest.approx(0.6, abs=0.04)


@pytest.mark.slow
def test_example_gen_counts_what_is_there(demo_log, run_log):
    run = run_log(demo_log, num_negatives=20)
    good_rec = [
        row for row in _rows(demo_log, "rec_inter") if row["item_id"] and row["timestamp"] != "nan" and row["time"]
    ]
    good_search = [row for row in _rows(demo_log, "src_inter") if row["keyword"][0] == "[" and row["click_cnt"]]
    clicked = {(row["user_id"], row["item_id"], row["timestamp"]) for row in good_rec if row["click"] == "1"}
    clicks = Counter(user for user, *_ in clicked)
    rows = sum(row["click"] == "1" for row in good_rec)
    searches = {(row["user_id"], row["search_session_id"]) for row in good_search}
    times = defaultdict(list)
    for user, _, time in clicked:
        times[user].append(float(time))
    first = {user: min(of_user) for user, of_user in times.items()}
    for row in good_search:
        first[row["user_id"]] = min(first.get(row["user_id"], np.inf), float(row["search_session_timestamp"]))
    # The last two clicks of a user with three, if anything at all is strictly earlier.
    asked = [
        sum(len(of_user) >= 3 and sorted(of_user)[-place] > first[user] for user, of_user in times.items())
        for place in (2, 1)
    ]
    log, splits = run.report["log"], run.report["splits"]
    assert log["clicks"] == sum(clicks.values())
    assert run.report["rules"]["repeated_clicks"] == rows - log["clicks"]
    assert log["recommended_without_click"] == len(good_rec) - rows
    assert run.report["warnings"] == []
    assert log["searches"] == len(searches)
    assert log["users"] == len({user for user, _ in searches} | set(clicks))
    assert log["items"] == len({row["item_id"] for row in good_rec if row["click"] == "1"})
    assert (
        [splits["eval_requests"], splits["test_requests"]]
        == asked
        == [len(run.records["eval"]), len(run.records["test"])]
    )
    assert [file["bad_rows"] for file in run.report["files"]] == [3, 2]


def test_queries_tell_of_later_clicks(demo_log):
    """The newest search before a click is about its subtopic far more often than chance (1 in 12)."""
    items = SMALL.num_topics * SMALL.subtopics * SMALL.feed_items
    first_own_word = 1000 + SMALL.num_topics * 3
    searches = defaultdict(set)
    for row in _rows(demo_log, "src_inter"):
        if row["keyword"][0] == "[":
            word = int(row["keyword"].strip("[]").split(",")[0]) - first_own_word
            searches[row["user_id"]].add((float(row["search_session_timestamp"]), word // 5))
    hits = []
    for row in _rows(demo_log, "rec_inter"):
        if row["click"] == "1" and row["item_id"] and row["timestamp"] != "nan":
            before = [search for search in searches[row["user_id"]] if search[0] < float(row["timestamp"])]
            assert int(row["item_id"]) - 100_000 < items
            hits += [max(before)[1] == (int(row["item_id"]) - 100_000) // SMALL.feed_items] if before else []
    assert np.mean(hits) > 0.25


def test_two_runs_may_write_the_log_at_once(tmp_path, monkeypatch):
    settings = DemoLogSettings(num_users=20, num_topics=2, subtopics=2)
    write_demo_log(tmp_path / "alone", settings)
    replace, pid = os.replace, os.getpid()

    def replace_after_another_process(source, target):
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        write_demo_log(tmp_path / "log", settings)
        monkeypatch.setattr(os, "getpid", lambda: pid)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_after_another_process)
    write_demo_log(tmp_path / "log", settings)
    written = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
