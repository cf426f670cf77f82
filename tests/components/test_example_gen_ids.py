"""Ids: of what type and format soever they are, an id that is kept is one thing alone."""

import decimal
from datetime import time, timedelta

import pytest
from test_example_gen_event_form import LISTS, REC, RESULTS, T, _read, _write

from components.example_gen.errors import LogError

LARGE = 4873214862074861440.0  # as a 64-bit float it is its neighbours' too


def _parquet(path, columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)


def _ids_of(tmp_path, ids, dtype):
    import pyarrow as pa

    _parquet(
        tmp_path / "recommendations.parquet",
        {
            "user_id": ["u"] * len(ids),
            "item_id": pa.array(ids, dtype),
            "timestamp_ms": [T] * len(ids),
            "clicked": [1] * len(ids),
        },
    )
    _write(tmp_path / "searches.jsonl", LISTS)
    clicks, _, reports = _read(tmp_path)
    return [row[1] for row in clicks], reports[0]


@pytest.mark.parametrize(
    ("ids", "dtype", "text"),
    [
        ([3, 2**63 - 1], "int64", ["3", "9223372036854775807"]),
        ([2**64 - 1], "uint64", ["18446744073709551615"]),
        ([3.0, 3.5, None, 2.0**53 - 1], "float64", ["3", "3.5", "9007199254740991"]),
        ([16777215.0], "float32", ["16777215"]),
        (
            [decimal.Decimal("3.00"), decimal.Decimal("3.50"), decimal.Decimal(2**60)],
            ("decimal128", 30, 2),
            ["3", "3.50", str(2**60)],
        ),
        (["3.00", "007", " 7 "], "string", ["3.00", "007", "7"]),
    ],
)
def test_ids_of_parquet(tmp_path, ids, dtype, text):
    import pyarrow as pa

    name, *arguments = [dtype] if isinstance(dtype, str) else dtype
    found, report = _ids_of(tmp_path, ids, getattr(pa, name)(*arguments))
    assert found == text
    assert report.bad == ({"item_id is empty": 1} if None in ids else {})


def test_an_id_that_is_not_a_number_is_none(tmp_path):
    found, report = _ids_of(tmp_path, [1.0, float("nan")], None)
    assert found == ["1"]
    assert report.bad == {"item_id is empty": 1}


@pytest.mark.parametrize(
    ("ending", "value"),
    [
        (".parquet", LARGE),
        (".jsonl", LARGE),
        (".csv", "4.8732148620748616e+18"),
        (".csv", "1.2345678901234567e18"),
        (".csv", "9007199254740992.0"),
        (".csv", "1e+16"),
        (".csv.gz", " 4.87E+18 "),
        (".jsonl.gz", "1.5e+20"),
    ],
)
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_floats_that_are_several_whole_numbers_are_refused(tmp_path, ending, value, column):
    text = REC[2]["user_id"] if column == "user_id" else "i"
    rows = [{**REC[0], "item_id": "i"}, {**REC[0], "item_id": text, column: value}]
    if ending == ".parquet":
        rows = [{**row, column: float(number)} for row, number in zip(rows, (1, value), strict=True)]
    _write(tmp_path / f"recommendations{ending}", rows)
    _write(tmp_path / "searches.jsonl", LISTS)
    *_, (report, _) = _read(tmp_path)
    line = 3 if ".csv" in ending else 2
    assert report.fatal.startswith(f"recommendations{ending}, line {line}: {column} holds whole numbers as floats")
    assert report.fatal.endswith("Store the column as integers or as text.")


@pytest.mark.parametrize(
    "value", ["1e5", "5e10", "123e4567", "1.5e3", "9007199254740991.0", "9007199254740993", "2e18x"]
)
def test_text_that_looks_like_a_float_is_an_id(tmp_path, value):
    _write(tmp_path / "recommendations.csv", [{**REC[0], "item_id": value}])
    _write(tmp_path / "searches.jsonl", LISTS)
    clicks, *_ = _read(tmp_path)
    assert [row[1] for row in clicks] == [value]


def test_floats_of_32_bits_are_fewer_whole_numbers(tmp_path):
    import pyarrow as pa

    _, report = _ids_of(tmp_path, [16777216.0], pa.float32())
    assert "item_id holds whole numbers as floats that are too large" in report.fatal


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
@pytest.mark.parametrize("column", ["clicked_item_ids", "shown_item_ids"])
def test_lists_of_such_floats(tmp_path, ending, column):
    _write(tmp_path / "recommendations.jsonl", REC)
    rows = [{**LISTS[0], "clicked_item_ids": [5.0], "shown_item_ids": [5.0], column: [7.0, LARGE]}]
    _write(tmp_path / f"searches{ending}", rows)
    *_, (_, report) = _read(tmp_path)
    assert report.fatal.startswith(f"searches{ending}, line 1: {column} holds whole numbers as floats")


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_lists_of_small_floats(tmp_path, ending):
    _write(tmp_path / "recommendations.jsonl", REC)
    _write(tmp_path / f"searches{ending}", [{**LISTS[0], "clicked_item_ids": [5.0], "shown_item_ids": [4.0, 5.0]}])
    _, shown, _ = _read(tmp_path)
    assert [row[6:] for row in shown] == [("4", False), ("5", True)]


@pytest.mark.parametrize(("value", "kind"), [(time(7, 30), "time64"), (timedelta(days=1), "duration")])
@pytest.mark.parametrize(
    ("table", "column"),
    [("recommendations", "timestamp_ms"), ("recommendations", "item_id"), ("searches", "session_id")],
)
def test_types_that_are_refused(tmp_path, value, kind, table, column):
    rows = {"recommendations": REC[:1], "searches": LISTS[:1]}
    rows[table] = [{**rows[table][0], column: value}]
    for name, of_table in rows.items():
        _write(tmp_path / f"{name}.parquet", of_table)
    with pytest.raises(
        LogError,
        match=rf"{table}.parquet: {column} should hold moments.* Received: "
        + {"time64": "Time", "duration": "Duration"}[kind],
    ):
        _read(tmp_path)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_blanks_around_an_id_or_a_word_are_no_part_of_it(tmp_path, ending):
    _write(
        tmp_path / f"recommendations{ending}",
        [
            {**REC[0], "user_id": " u1\t", "item_id": "\n\v7\f\r "},
            {**REC[0], "user_id": "\u3000u1", "item_id": "\x1f\xa0"},
            {**REC[0], "user_id": " \t\n", "item_id": "7"},
        ],
    )
    _write(tmp_path / f"searches{ending}", [{**RESULTS[0], "query_words": '[" red\\t", "\u3000shoe ", " "]'}])
    clicks, shown, reports = _read(tmp_path)
    assert [row[:2] for row in clicks] == [("u1", "7"), ("\u3000u1", "\x1f\xa0")]
    assert [row[4] for row in shown] == [["red", "\u3000shoe"]]
    assert reports[0].bad == {"user_id is empty": 1}


def test_queries_that_begin_like_a_list(tmp_path):
    texts = ["[4k] monitor", "[sale", "[1.5, 2]", "[null]", "['a', 'b c']", "[7]", "[]", '["half\\ud800"]']
    _write(tmp_path / "recommendations.csv", REC)
    search = {**LISTS[0], "clicked_item_ids": "[]", "shown_item_ids": "[]"}
    _write(tmp_path / "searches.csv", [{**search, "query_words": text} for text in texts])
    _, shown, reports = _read(tmp_path)
    assert [row[4] for row in shown] == [
        ["[4k]", "monitor"],
        ["[sale"],
        ["[1.5,", "2]"],
        ["[null]"],
        ["a", "b c"],
        ["7"],
        [],
        ['["half\\ud800"]'],
    ]
    assert reports[1].bad == {}
    _, shown, reports = _read(tmp_path, query_words="list")
    assert [row[4] for row in shown] == [["a", "b c"], ["7"], []]
    assert reports[1].bad == {
        "query_words is no list of integers or strings": 4,
        "query_words holds half of a surrogate pair, which is no character": 1,
    }


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_query_that_is_cut_is_counted_once_at_its_line(tmp_path, ending):
    _write(tmp_path / f"recommendations{ending}", REC)
    rows = [{**LISTS[0], "query_words": ["red"], "clicked_item_ids": ["1", "2", "3"]} for _ in range(4)]
    rows[2] = {**rows[2], "query_words": list("abcd")}
    _write(tmp_path / f"searches{ending}", rows)
    _, shown, reports = _read(tmp_path, words_per_search=3)
    line = 4 if ending == ".csv" else 3
    assert reports[1].repaired == {"more than 3 words": 1}
    assert reports[1].samples == {"more than 3 words": [{"line": line, "value": "a b c d"}]}
    assert {tuple(row[4]) for row in shown} == {("red",), ("a", "b", "c")}
