"""The simulator: bytes, blocks, the truth against the files, days, dirt, and what its reader makes of it."""

import csv
import gzip
import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from synthetic_logs.simulator import SimulatorSettings, simulate
from synthetic_logs.simulator.block import make_block
from synthetic_logs.simulator.catalogue import Catalogue

FILES = ("rec_inter", "src_inter", "item_features", "user_features", "social_network")
EVENTS = 20_000


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulated")
    counts = simulate(directory, EVENTS, compress=False)
    return directory, counts


def _rows(path):
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")
    with opened as file:
        return list(csv.DictReader(file))


def _contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("**/*") if path.is_file()}


@pytest.mark.parametrize("spans", [False, True])
def test_equal_bytes_from_blocks_of_any_size(tmp_path, spans):
    for size in (7, 16, 300):
        simulate(tmp_path / str(size), 5000, spans=spans, users_a_block=size)
    assert _contents(tmp_path / "7") == _contents(tmp_path / "16") == _contents(tmp_path / "300")
    simulate(tmp_path / "other seed", 5000, SimulatorSettings(seed=1), spans=spans)
    same = [
        name
        for name, content in _contents(tmp_path / "other seed").items()
        if _contents(tmp_path / "7")[name] == content
    ]
    assert all("social_network" in name for name in same)  # a few rows or none


def test_gzipped_and_plain_files_hold_the_same(log, tmp_path):
    simulate(tmp_path, EVENTS)
    plain = {name: content for name, content in _contents(log[0]).items() if name.endswith(".csv")}
    assert {
        name: gzip.decompress(content) for name, content in _contents(tmp_path).items() if name.endswith(".gz")
    } == {f"{name}.gz": content for name, content in plain.items()}
    assert {f"{name}.csv" for name in FILES} < set(plain)


def test_the_log_ends_with_the_first_user_who_reaches_the_events(log):
    directory, counts = log
    rec, search = _rows(directory / "rec_inter.csv"), _rows(directory / "src_inter.csv")
    assert counts[:3] == (len({row["user_id"] for row in rec}), len(rec), len(search))
    of_user = Counter(int(row["user_id"]) for row in rec + search)
    assert EVENTS <= len(rec) + len(search) < EVENTS + of_user[counts.users]
    assert sorted(of_user) == list(range(1, counts.users + 1))
    stamp = json.loads((directory / "simulated.json").read_text())
    assert stamp["rec_rows"] == len(rec) and stamp["seed"] == 2025


def test_a_block_holds_its_users_and_no_others():
    catalogue = Catalogue.of(1e6, SimulatorSettings())
    whole, part = make_block(catalogue, 100, 20), make_block(catalogue, 105, 3)
    assert part.active.user.tolist() == [105, 106, 107]
    # In numbers: what memory holds is the rows of a block, three users here and 20 there.
    np.testing.assert_array_equal(part.rows, whole.rows[5:8])
    of_three = (whole.feed.row >= 5) & (whole.feed.row < 8)
    np.testing.assert_array_equal(part.feed.item, whole.feed.item[of_three])
    assert len(part.feed.item) == of_three.sum() < len(whole.feed.item)


def test_every_user_item_and_category_has_its_features(log):
    directory, counts = log
    rec, search = _rows(directory / "rec_inter.csv"), _rows(directory / "src_inter.csv")
    items = {row["item_id"] for row in rec + search}
    described = [row["item_id"] for row in _rows(directory / "item_features.csv")]
    assert len(items) == counts.items and len(described) == len(set(described))
    missing = len(items - set(described))
    assert set(described) <= items
    assert abs(missing - 0.01 * len(items)) < 5 * np.sqrt(0.01 * len(items))  # five standard errors
    assert [row["user_id"] for row in _rows(directory / "user_features.csv")] == [
        str(user) for user in range(1, counts.users + 1)
    ]


def test_the_truth_agrees_with_the_log(log):
    directory, counts = log
    clicks = {
        (row["user_id"], row["item_id"], int(float(row["timestamp"])))
        for row in _rows(directory / "rec_inter.csv")
        if row["click"] == "1"
    }
    searches = {row["search_session_id"]: row for row in _rows(directory / "src_inter.csv")}
    kinds = {row["search_session_id"]: row for row in _rows(directory / "truth" / "searches.csv")}
    category = {row["item_id"]: row["second_level_category_id"] for row in _rows(directory / "item_features.csv")}
    truth = _rows(directory / "truth" / "relevant_searches.csv")
    assert set(kinds) == set(searches) and len(truth) == counts.clicks_with_search
    results = defaultdict(set)
    for row in _rows(directory / "src_inter.csv"):
        results[row["search_session_id"]].add(category.get(row["item_id"]))
    for row in truth:
        assert (row["user_id"], row["item_id"], int(row["timestamp"])) in clicks
        ids = [str(number) for number in json.loads(row["search_session_ids"])]
        assert ids and len(ids) == len(set(ids))
        for number in ids:
            found, known = searches[number], kinds[number]
            assert found["user_id"] == known["user_id"] == row["user_id"]
            assert found["search_session_timestamp"] == known["search_session_timestamp"]
            assert int(known["search_session_timestamp"]) < int(row["timestamp"])
            assert known["kind"] in ("announces", "repeats")
            # What the search shows is of the category of what is clicked later.
            assert results[number] - {None} <= {category.get(row["item_id"], *results[number] - {None})}


def test_no_search_of_the_same_interest_is_left_out_of_the_truth(log):
    # From the files: the searches of the user before the click that are about the subtopic of those named.
    directory, _ = log
    of_user = defaultdict(list)
    for row in _rows(directory / "truth" / "searches.csv"):
        of_user[row["user_id"]].append(row)
    subtopic = {row["search_session_id"]: row["subtopic"] for rows in of_user.values() for row in rows}
    for row in _rows(directory / "truth" / "relevant_searches.csv"):
        named = [str(number) for number in json.loads(row["search_session_ids"])]
        earlier = [
            search["search_session_id"]
            for search in of_user[row["user_id"]]
            if int(search["search_session_timestamp"]) < int(row["timestamp"])
            and search["subtopic"] == subtopic[named[0]]
        ]
        assert named == earlier


def test_days_together_are_the_whole_log(log, tmp_path):
    simulate(tmp_path, EVENTS, spans=True, compress=False)
    days = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("2023"))
    assert days == [f"2023-05-{day}" for day in range(22, 32)]  # ten dates in nine times 24 hours from 14:50
    for name, time in (("rec_inter", "time"), ("src_inter", "search_session_time")):
        parts = {day: _rows(tmp_path / day / f"{name}.csv") for day in days}
        assert all(row[time][:10] == day for day, rows in parts.items() for row in rows)
        key = lambda row: tuple(row.values())  # noqa: E731
        assert sorted(map(key, sum(parts.values(), []))) == sorted(map(key, _rows(log[0] / f"{name}.csv")))
    for day in days:
        rows = _rows(tmp_path / day / "rec_inter.csv") + _rows(tmp_path / day / "src_inter.csv")
        assert {row["user_id"] for row in _rows(tmp_path / day / "user_features.csv")} == {
            row["user_id"] for row in rows
        }
        described = {row["item_id"] for row in _rows(tmp_path / day / "item_features.csv")}
        whole = {row["item_id"] for row in _rows(log[0] / "item_features.csv")}
        assert described == {row["item_id"] for row in rows} & whole
    assert _contents(tmp_path / "truth") == _contents(log[0] / "truth")


def test_dirt_repeats_rows_and_moves_them_behind_later_searches():
    def results(rows=100.0, **dirt):
        settings = SimulatorSettings(**{"repeated": 0.0, "late": 0.0, "search_rows": rows, **dirt})
        return make_block(Catalogue.of(settings.rows * 1000, settings), 0, 40).results

    # Repeated rows count as rows a user: searches show a tenth less each.
    clean, repeated, late = results(), results(rows=110.0, repeated=0.1), results(late=0.1)
    count = len(clean.search)
    assert (np.diff(clean.search) >= 0).all()
    added = len(repeated.search) - count
    assert abs(added - 0.1 * count) < 5 * np.sqrt(0.1 * 0.9 * count)  # five standard errors
    again = (repeated.click.sum() - clean.click.sum()) / clean.click.sum()  # half of a tenth come clicked again
    assert abs(again - 0.05) < 5 * np.sqrt(0.05 / clean.click.sum())
    assert sorted(zip(late.search, late.place, strict=True)) == list(zip(clean.search, clean.place, strict=True))
    behind = (np.maximum.accumulate(late.search) > late.search).mean()
    assert 0.05 < behind < 0.1 + 5 * np.sqrt(0.1 * 0.9 / count)  # a delay within a search moves nothing behind another


def test_the_reader_finds_the_malformed_rows_and_nothing_else(log, tmp_path):
    from components.example_gen.file_report import FileReport
    from components.example_gen.readers import kuaisar
    from components.example_gen.settings import LogSettings

    simulate(tmp_path, EVENTS, SimulatorSettings(malformed=0.01))
    for directory, share in ((log[0], 0.0), (tmp_path, 0.01)):
        settings = LogSettings(log_dir=str(directory))
        reasons = ("timestamp is neither a number nor an ISO 8601 time", "keyword is no list of integers or strings")
        for file, reason in zip(kuaisar.find(str(directory), settings), reasons, strict=True):
            report = FileReport(file.table, file.name)
            batches = kuaisar.read(file, settings, report)
            events = sum(clicks.height + shown.height for clicks, shown in batches)
            assert report.fatal is None and set(report.bad) == ({reason} if share else set())
            bad = report.bad.get(reason, 0)
            assert abs(bad - share * report.rows) <= 5 * np.sqrt(share * report.rows)  # five standard errors
            expected = report.clicks if file.table == "rec_inter.csv" else report.rows - bad
            assert events == expected


def test_a_log_that_is_there_is_not_touched(log):
    before = _contents(log[0])
    with pytest.raises(FileExistsError, match="should hold no log"):
        simulate(log[0], EVENTS)
    assert _contents(log[0]) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"days": 40},
        {"clicked": 1.5},
        {"word_shares": (0.5, 0.6)},
        {"passing": 0.8, "lasting": 0.3},
        {"announced": 0.0},
        {"subtopics": 1},
        {"topics": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="should be"):
        SimulatorSettings(**settings)


def test_an_event_at_least(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        simulate(tmp_path, 0)
    assert simulate(tmp_path, 1).users == 1
