"""LogExampleGen's executor on small logs, with real Beam."""

import gzip
import math
import random
from pathlib import Path

import polars as pl
import pytest

from components.example_gen.errors import LogError
from components.example_gen.log_report import format_counts
from model import contract as inputs

pytestmark = pytest.mark.slow

CLICKS = [  # user, item, timestamp, click; not in order of time
    ("ann", "i5", 50, 1),
    ("ann", "i1", 10, 1),
    ("ann", "i2", 20, 1),
    ("ann", "i3", 30, 1),
    ("ann", "i9", 30, 0),
    ("bob", "i1", 15, 1),
    ("bob", "i4", 15, 1),
    ("cid", "i6", 99, 0),
]
SEARCHES = [  # user, session, timestamp, keyword, item, click_cnt
    ("ann", 1, 5, "[7, 8]", "i8", 0),
    ("dan", 3, 1, "[9]", "i7", 1),
    ("ann", 1, 5, "[7, 8]", "i2", 2),
    ("ann", 2, 30, "[8]", "i9", 0),
    ("bob", 4, 15, "[7]", "i1", 1),
    ("ann", 5, 6, "[]", "i9", 0),  # the last is empty
]
NEGATIVES = {"num_negatives": 1, "seed": 7, "unclicked_search": "query"}


def _write(directory, clicks=CLICKS, searches=SEARCHES, pack=False):
    directory.mkdir(exist_ok=True)
    rec = "click,user_id,timestamp,item_id\n" + "".join(
        f"{click},{user},{float(time)},{item}\n" for user, item, time, click in clicks
    )
    search = "user_id,search_session_id,search_session_timestamp,keyword,item_id,click_cnt,search_source\n" + "".join(
        f'{user},{session},{time},"{keyword}",{item},{count},X\n'
        for user, session, time, keyword, item, count in searches
    )
    for name, text in (("rec_inter.csv", rec), ("src_inter.csv", search)):
        if pack:
            (directory / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (directory / name).write_text(text)
    return directory


@pytest.fixture(scope="module")
def result(run_log, tmp_path_factory):
    return run_log(_write(tmp_path_factory.mktemp("log")), **NEGATIVES)


def test_timelines(result):
    by_user = {example[inputs.USER][0]: example for example in result.parsed("train")}
    assert set(by_user) == {b"ann", b"bob", b"dan"}
    assert by_user[b"ann"] == {
        "user": [b"ann"],
        "rec_items": [b"i1", b"i2"],
        "rec_times": [10, 20],
        "rec_clicks_before": [0, 1],
        "rec_searches_before": [1, 1],
        "rec_is_target": [1, 1],
        "search_words": [b"7", b"8"],
        "search_word_counts": [2],
        "search_items": [b"i2"],
        "search_item_counts": [1],
        "search_times": [5],
        "search_clicks_before": [0],
        "search_searches_before": [0],
        "search_is_target": [1],
    }
    # Two clicks at one time are in order of the file; neither precedes the other, nor does the search at that time.
    assert by_user[b"bob"]["rec_items"] == [b"i1", b"i4"]
    assert by_user[b"bob"]["rec_searches_before"] == [0, 0]
    assert by_user[b"bob"]["rec_clicks_before"] == [0, 0]
    assert by_user[b"bob"]["rec_is_target"] == [0, 0]
    # Nor do they precede the search, which has words to predict its click from.
    assert by_user[b"bob"]["search_clicks_before"] == [0]
    assert by_user[b"bob"]["search_is_target"] == [1]
    # A user who only searched.
    assert by_user[b"dan"] == {
        "user": [b"dan"],
        "rec_items": [],
        "rec_times": [],
        "rec_clicks_before": [],
        "rec_searches_before": [],
        "rec_is_target": [],
        "search_words": [b"9"],
        "search_word_counts": [1],
        "search_items": [b"i7"],
        "search_item_counts": [1],
        "search_times": [1],
        "search_clicks_before": [0],
        "search_searches_before": [0],
        "search_is_target": [1],
    }
    assert set(by_user[b"ann"]) == set(inputs.TIMELINE_FEATURES)


def test_requests(result):
    (evaluated,), (tested,) = result.parsed("eval"), result.parsed("test")
    assert evaluated["rec_items"] == [b"i1", b"i2"]
    assert evaluated["search_word_counts"] == [2]
    assert tested["rec_items"] == [b"i1", b"i2", b"i3"]
    assert (evaluated["rec_times"], evaluated["search_times"]) == ([10, 20], [5])
    assert (tested["rec_times"], tested["search_times"]) == ([10, 20, 30], [5, 30])
    assert (tested["search_words"], tested["search_word_counts"], tested["search_item_counts"]) == (
        [b"7", b"8", b"8"],
        [2, 1],
        [1, 0],
    )
    for request, target in ((evaluated, b"i3"), (tested, b"i5")):
        assert set(request) == {*inputs.REQUEST_FEATURES, *inputs.TIME_FEATURES, inputs.LABEL}
        assert request["candidates"][request["label"][0]] == target
        # Clicked at all: i1 to i5. Of these ann clicked all but i4.
        assert sorted(request["candidates"]) == sorted([target, b"i4"])


def test_report(result):
    assert result.report["log"] == {
        "users": 3,
        "users_with_clicks": 2,
        "users_with_searches": 3,
        "searches": 4,
        "searches_with_click": 3,
        "searches_without_click": 1,
        "clicks": 6,
        "recommended_without_click": 2,
        "items": 5,
        "items_found": 3,
        "items_in_both": 2,
    }
    rules = {name: count for name, count in result.report["rules"].items() if count}
    assert rules == {"empty_searches": 1}
    written = result.report["splits"].pop("example_bytes")
    assert written == sum(path.stat().st_size for path in Path(result.artifact.uri).glob("*/*.gz"))
    # The clicks of ann after their first, at 20, 30 and 50, have one of an earlier time; those of bob share their time.
    assert result.report["splits"] == {
        "train_users": 3,
        "train_clicks": 4,
        "train_targets": 2,
        "train_search_targets": 3,
        "clicks_after_another": 3,
        "eval_clicks": 1,
        "eval_without_history": 0,
        "eval_requests": 1,
        "test_clicks": 1,
        "test_without_history": 0,
        "test_requests": 1,
        "test_requests_with_search": 1,
        "without_history": 0,
        "without_candidates": 0,
        "users_without_candidates": 0,
        "missing_candidates": 0,
    }
    assert result.report["tables"] == {
        "users_of_clicks": 2,
        "users_of_searches": 3,
        "users_of_both": 2,
        "click_times": [10, 50],
        "search_times": [1, 30],
        "clicks_of_a_user": [2, 4],
        "only_clicks": [],
        "only_searches": ["dan"],
        "without_candidates": [],
    }
    assert result.report["warnings"] == []
    assert result.report["negatives"] == {
        "number": 1,
        "sampling": "uniform",
        "avoid": "whole_log",
        "existing": False,
        "candidates_file": "",
        "seed": 7,
    }
    assert result.report["cuts"] is None
    assert [(file["file"], file["rows"], file["bad_rows"]) for file in result.report["files"]] == [
        ("rec_inter.csv", 8, 0),
        ("src_inter.csv", 6, 0),
    ]
    text = format_counts(result.report)
    assert "3 users, 5 items: 6 clicks (and 2 recommended without a click), 4 searches (3 with a click)" in text
    assert "1 + 1 candidates, uniform, seed 7" in text
    assert "1 searches left out: neither a word nor an item" in text


def test_artifact_is_what_stock_components_expect(result):
    from tfx.components.util import examples_utils

    assert result.artifact.split_names == '["train", "eval", "test"]'
    assert examples_utils.get_payload_format_string(result.artifact) == "FORMAT_TF_EXAMPLE"
    assert result.artifact.get_int_custom_property("span") == 0
    assert result.artifact.get_string_custom_property("input_fingerprint") == "abc"


def test_gzip_gives_the_same_examples_as_plain_and_a_second_run_as_the_first(result, run_log, tmp_path):
    assert run_log(_write(tmp_path / "log", pack=True), **NEGATIVES).records == result.records


def test_an_output_folder_is_no_pattern(result, run_log, tmp_path):
    from components.common.split_files import split_files
    from components.trainer.run_fn import _files

    run = run_log(_write(tmp_path / "log [x]"), out="out [v2]?", export_candidates=True, **NEGATIVES)
    assert run.records == result.records
    assert len(list(run.candidates.iterdir())) == 1
    directory = run.artifact.path(split="train")
    assert (
        split_files(run.artifact, "train")
        == _files([f"{directory}/*"])
        == [f"{directory}/data_tfrecord-00000-of-00001.gz"]
    )


@pytest.mark.long
def test_workers_and_order_of_the_rows_make_no_difference(run_log, tmp_path):
    """Times are distinct, so that the order of the rows says nothing."""
    draw = random.Random(1)
    times = draw.sample(range(10_000), 460)
    clicks = [(f"u{draw.randrange(20)}", f"i{draw.randrange(90)}", time, 1) for time in times[:400]]
    searches = [(f"u{draw.randrange(20)}", n, time, "[1]", f"i{n}", n % 2) for n, time in enumerate(times[400:])]
    settings = {"num_negatives": 9, "shard_bytes": 2000, "export_candidates": True}
    one = run_log(_write(tmp_path / "log", clicks, searches), **settings)
    names = sorted(path.name for path in Path(one.artifact.uri).glob("Split-train/*"))
    assert len(names) > 3
    draw.shuffle(clicks)
    draw.shuffle(searches)
    two = run_log(_write(tmp_path / "shuffled", clicks, searches), workers=2, **settings)
    assert two.records == one.records
    for path in Path(one.artifact.uri).glob("Split-*/*"):
        assert (Path(two.artifact.uri) / path.parent.name / path.name).read_bytes() == path.read_bytes()
    one.report["settings"], two.report["settings"] = None, None
    assert two.report == one.report


def test_candidates_can_be_exported_and_imported(run_log, tmp_path):
    log, _ = _large_log(tmp_path / "log")
    first = run_log(log, num_negatives=9, export_candidates=True)
    exported = pl.read_parquet(first.candidates)
    assert exported.height == len(first.records["eval"]) + len(first.records["test"])
    for split in ("eval", "test"):
        lines = {
            (row["user"].encode(), row["label"]): [item.encode() for item in row["candidates"]]
            for row in exported.filter(split=split).iter_rows(named=True)
        }
        assert lines == {
            (request["user"][0], request["label"][0]): request["candidates"] for request in first.parsed(split)
        }
    # Whatever the seed and the number of negatives say, the file decides.
    again = run_log(log, num_negatives=5, seed=1, candidates_file=f"{first.candidates}/*.parquet")
    assert again.records == first.records
    exported[1:].write_parquet(tmp_path / "short.parquet")
    with pytest.raises(LogError, match="1 requests have no line in .*short.parquet"):
        run_log(log, candidates_file=str(tmp_path / "short.parquet"))


def test_of_a_log_in_spans_only_new_days_are_read_again(run_log, tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    days = ("2024-05-01", "2024-05-02", "2024-05-03")
    log.mkdir()
    for number, day in enumerate(days):
        clicks = [
            (f"u{user}", f"i{(user * 7 + turn * 3 + number) % 40}", 1000 * number + 10 * turn + user, 1)
            for user in range(8)
            for turn in range(4)
        ]
        _write(log / day, clicks, [("u1", number, 1000 * number, "[1]", "i1", 1)])
    settings = {"num_negatives": 3, "read_cache": str(cache), "max_bad_share": 1.0}

    def read_before(run):
        return {file["file"].split("/")[0]: file["read_before"] for file in run.report["files"]}

    third = log / days[2]
    third.rename(tmp_path / days[2])
    two = run_log(log, **settings)
    assert read_before(two) == dict.fromkeys(days[:2], False)
    (tmp_path / days[2]).rename(third)
    three = run_log(log, **settings)
    assert read_before(three) == {days[0]: True, days[1]: True, days[2]: False}
    assert "4 of 6 files as an earlier run read them" in format_counts(three.report)
    assert three.records == run_log(log, **{**settings, "read_cache": ""}).records != two.records
    (log / days[0] / "rec_inter.csv").write_text("click,user_id,timestamp,item_id\n1,u1,x,i1\n1,u1,5,i1\n")
    changed = run_log(log, **settings)
    assert [file["read_before"] for file in changed.report["files"]] == [False, True, True, True, True, True]
    assert changed.report["files"][0]["bad_rows"] == 1
    assert len(list(cache.iterdir())) == 6
    again = run_log(log, **settings)
    assert again.records == changed.records
    assert [(file["rows"], file["bad"]) for file in again.report["files"]] == [
        (file["rows"], file["bad"]) for file in changed.report["files"]
    ]


def _large_log(directory, bad=0, pack=False):
    draw = random.Random(0)
    clicks = [(f"u{draw.randrange(20)}", f"i{draw.randrange(60)}", draw.randrange(1000), 1) for _ in range(400)]
    searches = [(f"u{draw.randrange(20)}", n, draw.randrange(1000), "[1]", f"i{n}", n % 2) for n in range(60)]
    clicks[100:100] = [("u1", "i1", "nan", 1)] * bad
    return _write(directory, clicks, searches, pack=pack), clicks


def test_time_split(run_log, tmp_path):
    log, clicks = _large_log(tmp_path / "log")
    run = run_log(log, split="time", eval_share=0.2, test_share=0.1, negative_sampling="popularity", num_negatives=9)
    times = [time for _, _, time, _ in clicks]
    period = max(times) - min(times)
    cuts = {"eval": math.ceil(max(times) - 0.3 * period), "test": math.ceil(max(times) - 0.1 * period)}
    assert run.report["cuts"] == cuts
    first = {user: min(t for u, _, t, _ in clicks if u == user) for user, *_ in clicks}
    assert max(first.values()) < cuts["eval"]  # so every target has a history
    assert len(run.records["test"]) == sum(time >= cuts["test"] for time in times)
    assert len(run.records["eval"]) == sum(cuts["eval"] <= time < cuts["test"] for time in times)
    clicked = {user: {item for u, item, *_ in clicks if u == user} for user in first}
    for request in run.parsed("test"):
        candidates = [item.decode() for item in request["candidates"]]
        assert len(set(candidates)) == 10
        others = set(candidates) - {candidates[request["label"][0]]}
        assert not others & clicked[request["user"][0].decode()]
    assert len({request["label"][0] for request in run.parsed("test")}) > 3  # no fixed column


def test_too_many_bad_rows_stop_the_run(run_log, tmp_path):
    log, _ = _large_log(tmp_path / "log", bad=5)
    with pytest.raises(
        LogError,
        match=r"rec_inter.csv: 5 of 405 rows cannot be read \(timestamp is not finite: 5, "
        r"first at line 102: 'nan'\), more than `max_bad_share` = 0.01 allows",
    ):
        run_log(log, num_negatives=9)


def test_truncated_gzip_stops_the_run(run_log, tmp_path):
    log, _ = _large_log(tmp_path / "log", pack=True)
    path = log / "rec_inter.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(LogError, match="rec_inter.csv.gz cannot be unpacked after line .* bring a whole copy"):
        run_log(log, num_negatives=9)


def test_missing_file_stops_the_run_before_beam(run_log, tmp_path):
    with pytest.raises(LogError, match="holds no rec_inter.csv"):
        run_log(tmp_path)


def test_component_declares_what_downstream_needs():
    from components.example_gen.component import LogExampleGen
    from components.example_gen.settings import LogSettings

    settings = LogSettings(log_dir="log")
    component = LogExampleGen(settings=settings, input_fingerprint="abc", code_hash="def")
    assert component.exec_properties == {"settings": settings.to_json(), "input_fingerprint": "abc", "code_hash": "def"}
    assert {key: channel.type_name for key, channel in component.outputs.items()} == {
        "examples": "Examples",
        "log_report": "components.LogReport",
        "candidates": "components.Candidates",
    }
