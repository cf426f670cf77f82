"""Reading a platform's own log: formats, shapes, column map, units of time, and rows that cannot be read."""

import csv
import gzip
import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

T = 1684742000000  # 2023-05-22 07:53:20 UTC
REC = [
    {"user_id": "u1", "item_id": 7, "timestamp_ms": T, "clicked": 1},
    {"user_id": "u1", "item_id": 8, "timestamp_ms": T, "clicked": 0},
    {"user_id": "ü 2", "item_id": 9, "timestamp_ms": T + 5, "clicked": 1},
]
LISTS = [
    {
        "user_id": "u1",
        "session_id": "s",
        "timestamp_ms": T,
        "query_words": ["red", "shoes"],
        "clicked_item_ids": [5, 99],
        "shown_item_ids": [4, 5],
    },
    {
        "user_id": "ü 2",
        "session_id": None,
        "timestamp_ms": T + 1,
        "query_words": ["hat"],
        "clicked_item_ids": [],
        "shown_item_ids": [],
    },
]
RESULTS = [
    {"user_id": "u1", "timestamp_ms": T, "query_words": "red  shoes", "item_id": 4, "clicked": False, "source": "app"},
    {"user_id": "u1", "timestamp_ms": T, "query_words": "red  shoes", "item_id": 5, "clicked": True, "source": "app"},
]
CLICKS = [("u1", "7", T, 1), ("ü 2", "9", T + 5, 3)]
SHOWN_OF_LISTS = [
    ("u1", T, 1, "s", ["red", "shoes"], "", "4", False),
    ("u1", T, 2, "s", ["red", "shoes"], "", "5", True),
    ("u1", T, 3, "s", ["red", "shoes"], "", "99", True),
    ("ü 2", T + 1, 4, "", ["hat"], "", "", False),
]
FORMATS = [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"]


def _write(path, rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        if ".jsonl" in path.name:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def _read(log_dir, **values):
    from components.example_gen.readers import events
    from components.example_gen.spans import find_logs

    log_settings = LogSettings(log_dir=str(log_dir), source="events", **values)
    clicks, shown, reports = [], [], []
    for file in [file for _, found in find_logs(log_settings) for file in found]:
        report = FileReport(file.table, file.name)
        for batch in events.read(file, log_settings, report):
            clicks += batch.clicks.rows()
            shown += batch.shown.rows()
        reports.append(report)
    return clicks, shown, reports


@pytest.mark.parametrize("ending", FORMATS)
def test_formats_with_lists(tmp_path, ending):
    _write(tmp_path / f"recommendations{ending}", REC)
    _write(tmp_path / f"searches{ending}", LISTS)
    clicks, shown, reports = _read(tmp_path)
    # A header is line 1 of a CSV file.
    first = 1 if ".csv" in ending else 0
    assert clicks == [(*row[:3], row[3] + first) for row in CLICKS]
    assert shown == SHOWN_OF_LISTS
    assert [(report.rows, report.clicks, report.bad, report.repaired) for report in reports] == [
        (3, 2, {}, {}),
        (2, 0, {}, {}),
    ]
    assert (reports[1].first, reports[1].last) == (T, T)  # the other search has no click


@pytest.mark.parametrize("ending", FORMATS)
def test_formats_with_a_row_a_result(tmp_path, ending):
    _write(tmp_path / f"recommendations{ending}", REC)
    _write(tmp_path / f"searches{ending}", RESULTS)
    _, shown, _ = _read(tmp_path)
    assert [row[:2] + row[3:] for row in shown] == [
        ("u1", T, "", ["red", "shoes"], "app", "4", False),
        ("u1", T, "", ["red", "shoes"], "app", "5", True),
    ]


def test_parts_and_column_map(tmp_path):
    theirs = [{"uid": "a", "doc": 1.0, "at": T, "bought": 2.0}, {"uid": "b", "doc": None, "at": T, "bought": 1.0}]
    _write(tmp_path / "recommendations-0.parquet", theirs)
    _write(tmp_path / "recommendations-1.parquet", [{"uid": "c", "doc": 3, "at": T, "bought": 1}])
    _write(tmp_path / "searches" / "part.jsonl", [{"uid": "a", "at": T, "text": '["x y", 3]', "clicked_item_ids": [1]}])
    clicks, shown, reports = _read(
        tmp_path,
        columns={"user_id": "uid", "item_id": "doc", "timestamp_ms": "at", "clicked": "bought", "query_words": "text"},
    )
    # The gap made floats of the first part's ids; they are those of the second.
    assert clicks == [("a", "1", T, 1), ("c", "3", T, 1)]
    assert reports[0].bad == {"doc is empty": 1}
    assert shown == [("a", T, 1, "", ["x y", "3"], "", "1", True)]


def test_a_name_in_one_table_alone(tmp_path):
    _write(tmp_path / "recommendations.csv", REC)
    _write(tmp_path / "searches.csv", [{"who": "u1", "at": T, "query_words": "a", "item_id": 4, "clicked": 1}])
    clicks, shown, _ = _read(tmp_path, columns={"searches.user_id": "who", "searches.timestamp_ms": "at"})
    assert [row[0] for row in clicks] == ["u1", "ü 2"]
    assert [row[:2] for row in shown] == [("u1", T)]


@pytest.mark.parametrize(
    ("time", "milliseconds", "repaired"),
    [
        (1684742000, T, {"timestamp_ms in s": 1}),
        (1684742000.5, T + 500, {"timestamp_ms in s": 1}),
        (T, T, {}),
        (T * 1000, T, {"timestamp_ms in us": 1}),
        (T * 1000000, T, {"timestamp_ms in ns": 1}),
        ("2023-05-22T07:53:20Z", T, {"timestamp_ms in ISO 8601": 1}),
        ("2023-05-22 07:53:20", T, {"timestamp_ms in ISO 8601 without an offset, taken as UTC": 1}),
        ("2023-05-22 15:53:20+08:00", T, {"timestamp_ms in ISO 8601": 1}),
        ("2023-05-22T07:53:20.123", T + 123, {"timestamp_ms in ISO 8601 without an offset, taken as UTC": 1}),
        # 7 h 53 min 20 s earlier
        ("2023-05-22", T - 28400000, {"timestamp_ms in ISO 8601 without an offset, taken as UTC": 1}),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_units_of_time(tmp_path, ending, time, milliseconds, repaired):
    _write(tmp_path / f"recommendations{ending}", [{**REC[0], "timestamp_ms": time}])
    _write(tmp_path / f"searches{ending}", LISTS)
    clicks, _, reports = _read(tmp_path)
    assert [row[2] for row in clicks] == [milliseconds]
    assert reports[0].repaired == repaired


def test_parquet_times(tmp_path):
    moment = datetime(2023, 5, 22, 15, 53, 20, tzinfo=timezone(timedelta(hours=8)))
    _write(tmp_path / "recommendations.parquet", [{**REC[0], "timestamp_ms": moment}])
    _write(tmp_path / "searches.parquet", LISTS)
    clicks, _, _ = _read(tmp_path)
    assert [row[2] for row in clicks] == [T]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": ""}, "user_id is empty"),
        ({"item_id": None}, "item_id is empty"),
        ({"timestamp_ms": "soon"}, "timestamp_ms is neither a number nor an ISO 8601 time"),
        ({"timestamp_ms": -1}, "timestamp_ms is negative"),
        ({"timestamp_ms": "nan"}, "timestamp_ms is not finite"),
        ({"timestamp_ms": "1e21"}, "timestamp_ms is out of range"),
        ({"clicked": "maybe"}, "clicked is no number"),
        ({"clicked": None}, "clicked is no number"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_bad_rows_are_set_aside(tmp_path, ending, change, reason):
    _write(tmp_path / f"recommendations{ending}", [REC[0], {**REC[0], **change}, REC[2]])
    _write(tmp_path / f"searches{ending}", LISTS)
    clicks, _, reports = _read(tmp_path)
    assert [row[0] for row in clicks] == ["u1", "ü 2"]
    assert (reports[0].rows, reports[0].bad, reports[0].clicks) == (3, {reason: 1}, 2)
    assert reports[0].samples[reason][0]["line"] == (3 if ending == ".csv" else 2)


def test_broken_lines_of_json(tmp_path):
    good = json.dumps(REC[0])
    (tmp_path / "recommendations.jsonl").write_text(f'{good}\n\n{{"user_id": 1,\n[1]\n{good}')
    _write(tmp_path / "searches.jsonl", LISTS)
    clicks, _, reports = _read(tmp_path)
    assert [row[3] for row in clicks] == [1, 5]
    assert (reports[0].rows, reports[0].bad) == (4, {"no JSON object": 2})
    assert reports[0].samples["no JSON object"] == [{"line": 3, "value": '{"user_id": 1,'}, {"line": 4, "value": "[1]"}]


def test_words_are_cut(tmp_path):
    _write(tmp_path / "recommendations.csv", REC)
    _write(tmp_path / "searches.csv", [{**RESULTS[0], "query_words": text} for text in ("a b c", "['a b']")])
    _, shown, reports = _read(tmp_path, words_per_search=2)
    assert [row[4] for row in shown] == [["a", "b"], ["a b"]]
    assert reports[1].repaired == {"more than 2 words": 1}
    assert reports[1].samples == {"more than 2 words": [{"line": 2, "value": "a b c"}]}


def test_files_that_cannot_be_used(tmp_path):
    _write(tmp_path / "recommendations.csv", [{"user_id": 1, "item": 2}])
    with pytest.raises(LogError, match="has no column item_id, timestamp_ms, clicked. Its header: user_id, item"):
        _read(tmp_path)
    _write(tmp_path / "recommendations.csv", REC)
    with pytest.raises(LogError, match="holds no searches"):
        _read(tmp_path)
    _write(tmp_path / "searches.csv", [{"user_id": 1, "timestamp_ms": T, "query_words": "a"}])
    with pytest.raises(LogError, match="has no column item_id, clicked"):
        _read(tmp_path)
    with pytest.raises(LogError, match="`columns` has the names.*Received: usr_id"):
        _read(tmp_path, columns={"usr_id": "x"})
    _write(tmp_path / "searches.parquet", [{**RESULTS[0], "user_id": {"id": 1}}])
    (tmp_path / "searches.csv").unlink()
    with pytest.raises(LogError, match="user_id should hold text, numbers, times or lists of them"):
        _read(tmp_path)


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.floats(-1e3, 1e21).map(repr),
        st.integers(-5, 10**20).map(str),
        st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.none() | st.timezones()).map(
            lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000).isoformat()
        ),
        st.text(st.sampled_from("0123456789-:TZ+. "), max_size=20),
    )
)
def test_columns_read_times_as_single_fields_are(text):
    import polars as pl

    from components.example_gen.readers import columns, fields

    frame = pl.DataFrame({"t": [text]})
    [time], [unit] = (frame.select(rule.whole).to_series() for rule in (columns.moment("t"), columns.unit("t")))
    if time is not None and unit is not None:
        assert (time, unit) == (fields.moment(text, "t"), fields.unit(text, "t"))
