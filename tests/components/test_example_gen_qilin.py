"""Reading Qilin: every quirk once on a small log, as CSV and as Parquet, and the published sample."""

import ast
import csv
import re
import sys

import pytest

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

# A click at 1.7e12 ms; the feed is seen again three hours later, where note 12 is clicked a second time.
REC_RESULTS = [
    {
        "click": 0,
        "like": 1,
        "note_id": "ab",
        "note_idx": 11,
        "page_time": 0.0,
        "position": 2,
        "request_timestamp": 1700000000025,
    },
    {
        "click": 1,
        "like": 0,
        "note_id": "cd",
        "note_idx": 12,
        "page_time": 3.5,
        "position": 1,
        "request_timestamp": 1700000000025,
    },
    {
        "click": 1,
        "like": 0,
        "note_id": "cd",
        "note_idx": 12,
        "page_time": 3.5,
        "position": 3,
        "request_timestamp": 1700000000025,
    },
    {
        "click": 1,
        "like": 0,
        "note_id": "cd",
        "note_idx": 12,
        "page_time": -1.0,
        "position": 4,
        "request_timestamp": 1700010800000,
    },
]
NAN = float("nan")
SEARCH_RESULTS = [
    {
        "click": 0.0,
        "like": 0.0,
        "note_id": "ef",
        "note_idx": 21,
        "page_time": NAN,
        "position": 2.0,
        "search_timestamp": 1700000100.0,
    },
    {
        "click": 0.0,
        "like": 0.0,
        "note_id": "ef",
        "note_idx": 20,
        "page_time": NAN,
        "position": 1.0,
        "search_timestamp": 1700000100.0,
    },
    {
        "click": 1.0,
        "like": 0.0,
        "note_id": "ef",
        "note_idx": 22,
        "page_time": 5.1,
        "position": 3.0,
        "search_timestamp": 1700000160.0,
    },
]
NO_CLICK = [{**SEARCH_RESULTS[0], "search_timestamp": 1700000300.0}]


def _printed(results):
    """As numpy prints an array of dictionaries."""
    return "[" + "\n ".join(map(str, results)) + "]"


def _write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        writer.writerows(
            [_printed(value) if isinstance(value, list) else value for value in row.values()] for row in rows
        )


def _write_parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


REC = [
    {
        "query": "titles of notes",
        "rec_result_details_with_idx": REC_RESULTS,
        "request_idx": 7,
        "session_idx": 1,
        "user_idx": 3,
    }
]
SEARCH = [
    {
        "query": "Python 教程，入门!",
        "query_from_type": 1.0,
        "search_result_details_with_idx": SEARCH_RESULTS,
        "search_idx": 5,
        "user_idx": 3,
    },
    {
        "query": "MacBook Air",
        "query_from_type": None,
        "search_result_details_with_idx": NO_CLICK,
        "search_idx": 6,
        "user_idx": 3,
    },
]


@pytest.fixture(params=["csv", "parquet"])
def log(request, tmp_path):
    if request.param == "csv":
        _write_csv(tmp_path / "recommendation_train.csv", REC)
        _write_csv(tmp_path / "search_train.csv", SEARCH)
        _write_csv(tmp_path / "dqa.csv", SEARCH[:1])
    else:
        _write_parquet(tmp_path / "recommendation_train-00000.parquet", REC)
        _write_parquet(tmp_path / "search_train" / "part-1.parquet", SEARCH[1:])
        _write_parquet(tmp_path / "search_train" / "part-0.parquet", SEARCH[:1])
        _write_parquet(tmp_path / "dqa.parquet", SEARCH[:1])
    return tmp_path


def _read(log_dir, **values):
    """Rows of both frames and the reports, by table."""
    from components.example_gen.readers import qilin
    from components.example_gen.spans import find_logs

    settings = LogSettings(log_dir=str(log_dir), source="qilin", **values)
    clicks, shown, reports = {}, {}, {}
    for file in [file for _, found in find_logs(settings) for file in found]:
        report = reports.setdefault(file.table, FileReport(file.table, file.name))
        for batch in qilin.read(file, settings, report):
            clicks.setdefault(file.table, []).extend(batch.clicks.rows())
            shown.setdefault(file.table, []).extend(batch.shown.drop("line").rows())
    return clicks, shown, reports


def test_clicks_have_their_own_times_and_count_once(log):
    clicks, _, reports = _read(log)
    # In the order of `position`: results 1 and 3 are one click, result 4 comes hours later.
    assert clicks["recommendation_train"] == [("3", "12", 1700000000025, 1), ("3", "12", 1700010800000, 4)]
    report = reports["recommendation_train"]
    assert (report.rows, report.clicks, report.bad) == (4, 2, {})
    assert report.repaired == {"note twice in a request": 1}
    assert (report.first, report.last) == (1700000000025, 1700010800000)


def test_click_columns(log):
    clicks, _, _ = _read(log, click_columns=["click", "like"])
    assert [click[1] for click in clicks["recommendation_train"]] == ["12", "11", "12"]


def test_searches_happen_when_their_first_kept_result_is_seen(log):
    _, shown, reports = _read(log)
    first = ("3", 1700000160000, "search_train 5", ["python", "教程", "入门"], "search_train")
    assert shown["search_train"] == [
        (*first, "20", False),
        (*first, "21", False),
        (*first, "22", True),
        ("3", 1700000300000, "search_train 6", ["macbook", "air"], "search_train", "21", False),
    ]
    assert [row[2:5:2] for row in shown["dqa"]] == [("dqa 5", "dqa")] * 3
    assert reports["search_train"].repaired == {"search_timestamp in s": 4}
    assert (reports["search_train"].first, reports["search_train"].last) == (1700000160000, 1700000160000)


def test_text_that_is_cut_already(log):
    _, shown, _ = _read(log, query_words="split", words_per_search=1)
    assert {tuple(row[3]) for row in shown["search_train"]} == {("Python",), ("MacBook",)}


@pytest.mark.parametrize(
    ("old", "new", "reason", "rows"),
    [
        ("'note_idx': 11", "'note_idx': ''", {"note_idx is empty": 1}, 4),
        ("'request_timestamp': 1700010800000", "'request_timestamp': nan", {"request_timestamp is not finite": 1}, 4),
        ("'click': 0", "'click': None", {"click is no number": 1}, 4),
        ("[{", "{", {"rec_result_details_with_idx is no list of results": 1}, 1),
    ],
)
def test_bad_results_are_set_aside(tmp_path, old, new, reason, rows):
    text = _printed(REC_RESULTS)
    assert old in text
    _write_csv(
        tmp_path / "recommendation_train.csv", [{**REC[0], "rec_result_details_with_idx": text.replace(old, new)}]
    )
    _write_csv(tmp_path / "search_train.csv", SEARCH)
    _, _, reports = _read(tmp_path)
    report = reports["recommendation_train"]
    assert (report.rows, report.bad) == (rows, reason)
    assert [sample["line"] for sample in report.samples[next(iter(reason))]] == [2]


def test_request_without_results(tmp_path):
    _write_csv(tmp_path / "recommendation_train.csv", [{**REC[0], "rec_result_details_with_idx": []}, *REC])
    _write_csv(tmp_path / "search_train.csv", SEARCH)
    _, _, reports = _read(tmp_path)
    assert reports["recommendation_train"].bad == {"rec_result_details_with_idx is empty": 1}
    assert (reports["recommendation_train"].rows, reports["recommendation_train"].clicks) == (5, 2)


def test_lines_number_the_results_of_a_file(tmp_path):
    _write_csv(tmp_path / "recommendation_train.csv", [REC[0], {**REC[0], "request_idx": 8}])
    _write_csv(tmp_path / "search_train.csv", SEARCH)
    clicks, _, _ = _read(tmp_path)
    assert [row[3] for row in clicks["recommendation_train"]] == [1, 4, 5, 8]


def test_files_that_cannot_be_used(log):
    (log / "recommendation_test.csv").write_text("user_idx,request_idx\n1,2\n")
    with pytest.raises(LogError, match="recommendation_test.csv has no column rec_result_details_with_idx"):
        _read(log)
    (log / "recommendation_test.csv").unlink()
    (log / "recommendation_test.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(LogError, match="recommendation_test.parquet cannot be read as Parquet"):
        _read(log)
    for path in log.glob("recommendation_*"):
        path.unlink()
    with pytest.raises(LogError, match="holds no recommendation_train and no recommendation_test"):
        _read(log)


def test_two_formats_of_a_table(log):
    _write_csv(log / "dqa.csv", SEARCH)
    _write_parquet(log / "dqa.parquet", SEARCH)
    with pytest.raises(LogError, match="holds dqa as .csv and .parquet. Keep one"):
        _read(log)


def test_without_jieba(log, monkeypatch):
    from components.example_gen.readers import query_text

    query_text._tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(LogError, match=r"pip install 'lcr-ser\[chinese\]'"):
        _read(log)
    assert _read(log, query_words="split")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("table", "details", "time"),
    [
        ("recommendation_train", "rec_result_details_with_idx", "request_timestamp"),
        ("recommendation_test", "rec_result_details_with_idx", "request_timestamp"),
        ("search_train", "search_result_details_with_idx", "search_timestamp"),
        ("search_test", "search_result_details_with_idx", "search_timestamp"),
        ("dqa", "search_result_details_with_idx", "search_timestamp"),
    ],
)
def test_published_sample(request, table, details, time):
    """Against Python's own reading of the same text: csv, and literal_eval of each printed result."""
    sample = request.config.rootpath.parent / "shared" / "data" / "qilin_sample"
    if not sample.is_dir():
        pytest.skip("the real sets are not beside the repository (../shared/data)")
    csv.field_size_limit(1 << 28)
    expected_clicks, expected_shown, results_seen = set(), 0, 0
    with (sample / f"{table}.csv").open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            results = [
                ast.literal_eval(re.sub(r"\bnan\b", "None", text))
                for text in re.findall(r"\{.*?\}", row[details], re.DOTALL)
            ]
            results_seen += len(results)
            expected_shown += len(results)
            expected_clicks |= {
                (row["user_idx"], str(result["note_idx"]), int(result[time]))
                for result in results
                if result["click"] > 0
            }
    clicks, shown, reports = _read(sample)
    report = reports[table]
    assert (report.rows, report.bad, report.fatal) == (results_seen, {}, None)
    if table.startswith("rec"):
        assert {row[:3] for row in clicks[table]} == expected_clicks
        assert len(clicks[table]) == len(expected_clicks) == report.clicks
    else:
        assert len(shown[table]) == expected_shown
        clicked = {(row[0], row[5]) for row in shown[table] if row[6]}
        assert clicked == {(user, item) for user, item, _ in expected_clicks}
        assert len({row[2] for row in shown[table]}) == 10  # searches
        assert all(row[3] for row in shown[table])
