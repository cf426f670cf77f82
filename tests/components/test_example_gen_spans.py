"""Logs in a directory or in one a day, and their fingerprints."""

import shutil

import pytest

from components.example_gen.errors import LogError
from components.example_gen.settings import LogSettings

REC = "user_id,item_id,timestamp,click\n1,2,5,1\n"
SEARCH = "user_id,item_id,click_cnt,search_session_timestamp,keyword,search_session_id\n1,11,1,900,[3],5\n"


@pytest.fixture(scope="module")
def spans():
    from components.example_gen import spans

    return spans


@pytest.fixture(scope="module")
def fingerprints():
    from components.example_gen import fingerprint

    return fingerprint


def _write(directory, search=SEARCH):
    directory.mkdir(parents=True)
    (directory / "rec_inter.csv").write_text(REC)
    (directory / "src_inter.csv").write_text(search)
    return directory


def _found(spans, log_dir, **values):
    return [
        (span, [(file.table, file.path) for file in files])
        for span, files in spans.find_logs(LogSettings(log_dir=str(log_dir), **values))
    ]


def test_a_log(spans, tmp_path):
    log = _write(tmp_path / "log")
    _write(log / "older")  # beside the files of the log itself: not read
    assert _found(spans, log) == [
        ("", [("rec_inter.csv", str(log / "rec_inter.csv")), ("src_inter.csv", str(log / "src_inter.csv"))])
    ]


def test_a_log_a_day(spans, tmp_path):
    for day in ("2023-05-23", "2023-05-22"):
        _write(tmp_path / day)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.me").write_text("x")
    found = _found(spans, tmp_path)
    assert [span for span, _ in found] == ["2023-05-22", "2023-05-23"]
    assert found[1][1][0] == ("rec_inter.csv", str(tmp_path / "2023-05-23" / "rec_inter.csv"))


def test_parts_in_directories_of_a_span(spans, tmp_path):
    folder = tmp_path / "span-1" / "recommendations"
    folder.mkdir(parents=True)
    (folder / "b.csv").write_text("user_id,item_id,timestamp_ms,clicked\n1,2,1684742000000,1\n")
    (folder / "a.csv").write_text("user_id,item_id,timestamp_ms,clicked\n1,2,1684742000000,1\n")
    (tmp_path / "span-1" / "searches.jsonl").write_text(
        '{"user_id": 1, "timestamp_ms": 1684742000000, "query_words": ["a"], "clicked_item_ids": []}\n'
    )
    assert _found(spans, tmp_path, source="events") == [
        (
            "span-1",
            [
                ("recommendations", str(folder / "a.csv")),
                ("recommendations", str(folder / "b.csv")),
                ("searches", str(tmp_path / "span-1" / "searches.jsonl")),
            ],
        )
    ]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("kuaisar", "rec_inter.csv and src_inter.csv"),
        ("qilin", "recommendation_train or"),
        ("events", "recommendations and searches"),
    ],
)
def test_no_log(spans, tmp_path, source, wanted):
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LogError, match=f"holds no {wanted}"):
            _found(spans, directory, source=source)


def test_a_span_may_lack_a_table_but_not_all_of_them(spans, tmp_path):
    _write(tmp_path / "1")
    (_write(tmp_path / "2") / "src_inter.csv").unlink()
    assert [(span, [table for table, _ in files]) for span, files in _found(spans, tmp_path)] == [
        ("1", ["rec_inter.csv", "src_inter.csv"]),
        ("2", ["rec_inter.csv"]),
    ]
    settings = LogSettings(log_dir=str(tmp_path))
    assert spans.find_beside(settings, spans.find_logs(settings)).missing == ["2: src_inter.csv"]
    (tmp_path / "1" / "src_inter.csv").unlink()
    with pytest.raises(LogError, match="holds no src_inter.csv and no src_inter.csv.gz. Set `log_dir`"):
        _found(spans, tmp_path)


def test_a_span_may_have_no_row_of_a_table(spans, tmp_path):
    _write(tmp_path / "1")
    _write(tmp_path / "2", SEARCH.splitlines(keepends=True)[0])
    assert [len(files) for _, files in _found(spans, tmp_path)] == [2, 2]
    (tmp_path / "1" / "src_inter.csv").write_text("")
    with pytest.raises(LogError, match=r"1/src_inter.csv, .*2/src_inter.csv: no row. Bring a log with events"):
        _found(spans, tmp_path)


def test_fingerprint_follows_names_and_content_not_the_place(fingerprints, tmp_path):
    log = _write(tmp_path / "log")
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(log, copy)

    def fingerprint(directory):
        return fingerprints.fingerprint(LogSettings(log_dir=str(directory)))

    first = fingerprint(log)
    assert fingerprint(copy) == first
    (copy / "src_inter.csv").write_text(SEARCH.replace("900", "901"))
    assert fingerprint(copy) != first
    (copy / "src_inter.csv").write_text(SEARCH)
    (copy / "ignored.txt").write_text("x")
    assert fingerprint(copy) == first


def test_fingerprints_of_spans(fingerprints, tmp_path):
    _write(tmp_path / "1")
    _write(tmp_path / "2", SEARCH.replace("900", "901"))
    settings = LogSettings(log_dir=str(tmp_path))
    whole, spans = fingerprints.fingerprint(settings), fingerprints.span_fingerprints(settings)
    assert list(spans) == ["1", "2"]
    assert spans["1"] != spans["2"]
    _write(tmp_path / "3")
    again = fingerprints.span_fingerprints(settings)
    assert again == {**spans, "3": spans["1"]}
    assert fingerprints.fingerprint(settings) != whole
