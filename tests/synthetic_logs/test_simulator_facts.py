"""A simulated log against the published figures, and the measuring itself against a log counted by hand."""

import numpy as np
import polars as pl
import pytest

from synthetic_logs.simulator import SimulatorSettings, simulate
from synthetic_logs.simulator.marginals import measure
from synthetic_logs.simulator.targets import TARGETS, TRANSITIONS, Target, measured_targets

EVENTS = 100_000
ERRORS = 4  # standard errors


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    directory = tmp_path_factory.mktemp("facts")
    return directory, simulate(directory, EVENTS, compress=False)


@pytest.fixture(scope="module")
def marginals(log):
    return measure(log[0])


def _rec(*rows):
    return "user_id,item_id,timestamp,click\n" + "".join(f"{row}\n" for row in rows)


def _write_by_hand(directory):
    minute = 60_000
    (directory / "rec_inter.csv").write_text(
        _rec("1,10,0.0,1", "1,11,0.0,0", f"1,10,{10 * minute}.0,1", f"1,12,{90 * minute}.0,0", "2,10,0.0,1", "2,13,,1")
    )
    (directory / "src_inter.csv").write_text(
        "keyword,item_id,click_cnt,search_session_id,item_type,user_id,search_session_timestamp\n"
        f'"[7, 8]",20,1,100,VIDEO,1,{20 * minute}\n"[7, 8]",12,2,100,VIDEO,1,{20 * minute}\n'
        f'"[7, 8]",20,1,100,VIDEO,1,{20 * minute}\n[9],20,0,101,VIDEO,1,{51 * minute}\n'
        f"[9],21,0,200,VIDEO,2,{30 * minute}\n"
    )
    (directory / "item_features.csv").write_text(
        'item_id,caption,first_level_category_id,second_level_category_id\n10,"[7, 6]",1,3\n11,[5],1,4\n12,[4],2,5\n'
    )
    (directory / "user_features.csv").write_text("user_id,search_active_level,reco_active_level\n1,0,1\n2,0,0\n")


def test_measures_of_a_log_counted_by_hand(tmp_path):
    _write_by_hand(tmp_path)
    measured = measure(tmp_path)
    expected = {
        "rows": 11,
        "users": 2,
        "bad rows": 1 / 11,
        "R rows a user": 3,
        "S rows a user": 2.5,
        "S share of rows": 5 / 11,
        "R clicks a user": 2,
        "R rows without a click": 1 / 3,
        "rows a distinct R item": 5 / 3,
        "rows a distinct S item": 5 / 3,  # 10, 11, 12 and 20, 12, 21
        "clicked R items clicked once or twice": 0.0,  # 10 is clicked three times
        "items in R and S, of all": 1 / 5,
        "items in R and S, of S": 1 / 3,
        "items without features": 2 / 5,
        "first-level categories": 2,
        "second-level categories": 3,
        "searches a user": 1.5,
        "results a search": 5 / 3,
        "searches with a click": 1 / 3,
        "clicks a search with one": 2,
        "S clicks a user": 1,
        "distinct queries a user": 1,  # [7, 8] and [9]
        "words a query": 4 / 3,
        "query words in captions": 1 / 3,
    }
    assert measured.figures == pytest.approx(expected)
    # User 1: R at 0 and 10, S at 20, S at 51 (31 minutes later), R at 90; user 2: R at 0, S at 30.
    assert dict(measured.transitions.rows()) == pytest.approx({"R>R": 1 / 3, "R>S": 2 / 3})
    assert measured.batch_rows.rows() == [(1, 3), (2, 1)]
    assert measured.session_clicks.rows() == [(2, 1)] and measured.query_words.rows() == [(1, 2), (2, 1)]
    assert measured.popularity.rows() == [(1, 2, 0, 2), (3, 1, 1, 1)]
    assert measured.rec_levels.select("level", "rec", "search").rows() == [
        (0, pytest.approx(1 / 2.5), pytest.approx(1 / 2.5)),
        (1, pytest.approx(4 / 2.5), pytest.approx(4 / 2.5)),
    ]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="rec_inter"):
        measure(tmp_path)


def test_days_measure_as_the_whole(tmp_path, marginals):
    simulate(tmp_path, EVENTS, spans=True)
    of_days = measure(tmp_path)
    assert of_days.figures == pytest.approx(marginals.figures)
    assert of_days.transitions.equals(marginals.transitions)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("R rows without a click", lambda m, counts: 0.25 / counts.rec_rows),
        ("searches with a click", lambda m, counts: 0.24 / counts.searches),
        # 1 + geometric with p = 1 / 1.44 has the variance (1 - p) / p^2.
        ("clicks a search with one", lambda m, counts: (1 - 1 / 1.44) * 1.44**2 / (0.6 * counts.searches)),
        ("R rows a user", lambda m, counts: m.users["rec"].var() / counts.users),
        ("S rows a user", lambda m, counts: m.users["search"].var() / counts.users),
        ("items without features", lambda m, counts: 0.01 * 0.99 / counts.items),
    ],
)
def test_published_figures_within_sampling_error(log, marginals, name, variance):
    target = next(target for target in TARGETS if target.name == name)
    error = np.sqrt(variance(marginals, log[1]))
    assert abs(marginals.figures[name] - target.low) < ERRORS * error


def test_transitions_within_sampling_error(log, marginals):
    # The error of a ratio of sums over users, by leaving each user out in turn.
    rec = pl.read_csv(log[0] / "rec_inter.csv").select("user_id", "timestamp", kind=pl.lit("R")).unique()
    search = (
        pl.read_csv(log[0] / "src_inter.csv")
        .select("user_id", pl.col("search_session_timestamp").cast(pl.Float64).alias("timestamp"), kind=pl.lit("S"))
        .unique()
    )
    requests = pl.concat([rec, search]).sort("user_id", "timestamp")
    user, time, kind = (requests[name].to_numpy() for name in ("user_id", "timestamp", "kind"))
    near = (user[1:] == user[:-1]) & (np.diff(time) <= 1_800_000)
    pairs = np.char.add(np.char.add(kind[:-1].astype(str), ">"), kind[1:].astype(str))
    total = np.bincount(user[1:], near)
    for pair, published in TRANSITIONS.items():
        of_pair = np.bincount(user[1:], near & (pairs == pair))
        left_out = (of_pair.sum() - of_pair) / (total.sum() - total)
        error = np.sqrt((len(total) - 1) * left_out.var())
        measured = dict(marginals.transitions.rows())[pair]
        assert measured == pytest.approx(of_pair.sum() / total.sum())
        assert error < 0.05 and abs(measured - published) < ERRORS * error


def test_figures_that_grow_with_the_log_are_near(marginals):
    # With few users an interest has few hits, and a user who has seen them is shown items of the tail.
    figures = marginals.figures
    assert 2.3 < figures["rows a distinct R item"] < 3.5 and 1.4 < figures["rows a distinct S item"] < 2.0
    assert figures["clicked R items clicked once or twice"] > 0.8
    assert 0.02 < figures["items in R and S, of S"] < 0.07
    assert (figures["first-level categories"], figures["second-level categories"]) == (37, 296)
    assert figures["query words in captions"] > 0.5
    words = dict(marginals.query_words.rows())
    assert max(words, key=words.__getitem__) in (2, 3) and set(words) == set(range(1, 7))


def test_rows_share_timestamps_in_batches_of_four_to_eight(marginals):
    assert marginals.batch_rows["rows"].to_list() == [4, 5, 6, 7, 8]


def test_the_share_of_clicks_that_a_search_announces_is_a_setting(tmp_path):
    shares = []
    for announced in (0.2, 0.9):
        counts = simulate(tmp_path / str(announced), EVENTS / 2, SimulatorSettings(announced=announced, repeating=0.0))
        shares.append(counts.clicks_with_search / counts.clicks)
    # `announced` times `passing`; not exactly: an interest may come back in a later phase, a user with few batches has
    # fewer phases than the share wants, and one who announces nothing still has a phase.
    assert 0.2 * 0.6 * 0.8 < shares[0] < 0.2 * 0.6 * 1.5 and 0.9 * 0.6 * 0.8 < shares[1] < 0.9 * 0.6 * 1.2


def test_every_target_is_measured(marginals):
    assert all(measured > 0 for _, measured in measured_targets(marginals))
    assert [target.text for target in (Target("", 1, 2, ""), Target("", 3, 3, ""), Target("", 4, np.inf, ""))] == [
        "1 to 2",
        "3",
        "at least 4",
    ]


def test_the_plot_is_written(tmp_path, marginals):
    from synthetic_logs.simulator.plot import plot

    plot(marginals, tmp_path / "marginals.png")
    assert (tmp_path / "marginals.png").read_bytes().startswith(b"\x89PNG")
