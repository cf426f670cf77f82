"""Small logs of odd forms, where they lie beside the repository: each is read as its README says is right."""

from pathlib import Path

import pytest

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

CASES = Path(__file__).parents[2].parent / "shared" / "data" / "cases"

pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the odd logs are not beside the repository (../shared/data)"
)


def read(name, **values):
    """Clicks and results of searches of a case, the reports of its files, and what lies beside them."""
    from components.example_gen import spans
    from components.example_gen.readers import READERS

    log_settings = LogSettings(log_dir=str(CASES / name), **{"source": "events", **values})
    found = spans.find_logs(log_settings)
    clicks, shown, reports = [], [], []
    for file in (file for _, files in found for file in files):
        reports.append(FileReport(file.table, file.name))
        for batch in READERS[log_settings.source].read(file, log_settings, reports[-1]):
            clicks += batch.clicks.rows(named=True)
            shown += batch.shown.rows(named=True)
    return clicks, shown, reports, spans.find_beside(log_settings, found)


@pytest.mark.parametrize(
    ("name", "clicks", "searches", "left_out"),
    [
        ("json_ids_good", 8, 1, []),
        ("json_ids_one_bad_line", 8, 1, []),
        ("mixed_hidden_files", 20, 1, ["recommendations/.part-0.parquet", "recommendations/_temporary.parquet"]),
        ("spark_dir_empty_part", 20, 1, []),
        ("spark_dir_named_parquet", 20, 1, ["recommendations.parquet/_SUCCESS"]),
        ("hive_partitions", 40, 1, []),
        ("pq_decimal_ids", 20, 1, []),
        ("wrong_line_numbers", 20, 11, []),
    ],
)
def test_read_whole(name, clicks, searches, left_out):
    found, shown, _, beside = read(name)
    assert len(found) == clicks
    assert len({(row["user"], row["timestamp"]) for row in shown}) == searches
    assert beside.left_out == left_out


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("float_ids_beyond_2_53", "recommendations.parquet", "item_id holds whole numbers as floats"),
    ],
)
def test_refused_while_it_is_read(name, table, message):
    *_, reports, _ = read(name)
    [fatal] = [report.fatal for report in reports if report.fatal]
    assert fatal.startswith(table)
    assert message in fatal


def test_times_of_a_day_are_refused_before():
    with pytest.raises(LogError, match=r"recommendations.parquet: timestamp_ms should hold moments.* Received: Time"):
        read("pq_time64")


def test_ids_of_json_do_not_depend_on_a_broken_line():
    good, bad = read("json_ids_good"), read("json_ids_one_bad_line")
    assert good[:2] == bad[:2]
    assert {row["item"] for row in good[0]} == set("12345")
    assert {row["item"] for row in good[1]} == {"2"}
    assert bad[2][0].bad == {"no JSON object": 1}


def test_decimals_are_whole_numbers():
    clicks, *_ = read("pq_decimal_ids")
    assert all(row["item"].isdigit() for row in clicks)


def test_a_query_that_is_no_list_is_text():
    _, shown, reports, _ = read("odd_queries")
    assert reports[1].bad == {}
    words = {row["timestamp"]: row["words"] for row in shown if row["user"] == "u0"}
    assert words[1714543200000] == ["[4k]", "monitor"]
    assert words[1714543200001] == ["[sale"]


def test_the_line_of_a_query_that_was_cut():
    *_, reports, _ = read("wrong_line_numbers", words_per_search=8)
    assert {reason: [sample["line"] for sample in samples] for reason, samples in reports[1].samples.items()} == {
        "more than 8 words": [12]
    }
    assert reports[1].repaired == {"more than 8 words": 1}


def test_odd_ids_are_as_they_stand():
    import csv

    with (CASES / "odd_ids_log" / "recommendations.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["clicked"] == "1"]
    clicks, _, reports, _ = read("odd_ids_log")
    assert [(row["user"], row["item"]) for row in clicks] == [
        (row["user_id"].strip(" \t\n\v\f\r"), row["item_id"].strip(" \t\n\v\f\r")) for row in rows
    ]
    assert reports[0].bad == {}
