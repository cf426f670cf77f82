"""Reading the KuaiSAR form: quirks, bad rows and files that cannot be used."""

import gzip

import pytest

from components.example_gen.errors import LogError
from components.example_gen.events import CLICKS_SCHEMA, SHOWN_SCHEMA
from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

REC = "rec_inter.csv"
SEARCH = "src_inter.csv"
REC_HEADER = (
    "user_id,item_id,duration_ms,playing_time,timestamp,forward,like,follow,search_item_related,search,click,time"
)
SEARCH_HEADER = (
    "keyword,item_id,click_cnt,search_session_id,item_type,user_id,search_session_timestamp,"
    "search_source,search_session_time"
)
GOOD_REC = "1,11,0.0,0.0,1000.0,0,0,0,0,0,1,x"
GOOD_SEARCH = '"[1, 2]",11,1,5,VIDEO,1,900,USER_INPUT,x'


@pytest.fixture(scope="module")
def kuaisar():
    from components.example_gen.readers import kuaisar

    return kuaisar


@pytest.fixture
def log(tmp_path):
    (tmp_path / REC).write_text(f"{REC_HEADER}\n{GOOD_REC}\n")
    (tmp_path / SEARCH).write_text(f"{SEARCH_HEADER}\n{GOOD_SEARCH}\n")
    return tmp_path


def _settings(log_dir, **values):
    return LogSettings(log_dir=str(log_dir), **values)


def _read(kuaisar, table, path, **values):
    """Clicks or shown results as tuples in the order of CLICKS_SCHEMA or SHOWN_SCHEMA, and the report."""
    from components.example_gen.log_file import LogFile

    report = FileReport(table, path.name)
    batches = list(kuaisar.read(LogFile(table, str(path), 0), _settings(path.parent, **values), report))
    assert all(batch.clicks.schema == CLICKS_SCHEMA and batch.shown.schema == SHOWN_SCHEMA for batch in batches)
    rows = [row for batch in batches for row in (batch.clicks if table == REC else batch.shown).rows()]
    return [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows], report


def _read_text(kuaisar, tmp_path, table, text, **values):
    path = tmp_path / table
    path.write_text(text)
    return _read(kuaisar, table, path, **values)


def _shown(timestamp, line, session, words, item, clicked, source="USER_INPUT"):
    return ("1", timestamp, line, session, words, source, item, clicked)


def test_columns_are_found_by_name_and_extra_columns_ignored(kuaisar, tmp_path):
    events, report = _read_text(
        kuaisar, tmp_path, REC, "extra,click,timestamp, item_id ,user_id\nx,1,1.684742e+12, 7 ,u 1\n"
    )
    assert events == [("u 1", "7", 1684742000000, 2)]
    assert (report.rows, report.clicks, report.first, report.last) == (1, 1, 1684742000000, 1684742000000)


def test_rows_without_click_are_counted_and_are_no_error(kuaisar, tmp_path):
    text = "user_id,item_id,timestamp,click\n1,2,5,0\n1,3,5,1\n1,4,5,2.0\n"
    events, report = _read_text(kuaisar, tmp_path, REC, text)
    assert [row[1] for row in events] == ["3", "4"]
    assert (report.rows, report.clicks, report.bad) == (3, 2, {})


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ('"[1979292, 25]"', ("1979292", "25")),
        ("\"['red', 'shoes']\"", ("red", "shoes")),
        ('"[""red"", 7]"', ("red", "7")),
        ("[]", ()),
    ],
)
def test_keyword_lists(kuaisar, tmp_path, keyword, words):
    events, _ = _read_text(kuaisar, tmp_path, SEARCH, f"{SEARCH_HEADER}\n{keyword},11,0,5,VIDEO,1,900,USER_INPUT,x\n")
    assert events == [_shown(900, 2, "5", words, "11", False)]


def test_search_source_is_optional(kuaisar, tmp_path):
    events, _ = _read_text(
        kuaisar,
        tmp_path,
        SEARCH,
        "user_id,item_id,click_cnt,search_session_timestamp,keyword,search_session_id\n1,11,1,900,[3],5\n",
    )
    assert events == [_shown(900, 2, "5", ("3",), "11", True, source="")]


def test_click_count_above_one_is_a_click_and_byte_order_mark_is_skipped(kuaisar, tmp_path):
    (tmp_path / SEARCH).write_bytes(
        b"\xef\xbb\xbf" + f"{SEARCH_HEADER}\n{GOOD_SEARCH.replace(',1,5,', ',3,5,')}\n".encode()
    )
    events, report = _read(kuaisar, SEARCH, tmp_path / SEARCH)
    assert events == [_shown(900, 2, "5", ("1", "2"), "11", True)]
    assert (report.clicks, report.first, report.last) == (0, 900, 900)


def test_quoted_fields_span_lines_and_may_be_long(kuaisar, tmp_path):
    long = "x" * 200_000  # csv's own limit is 131,072
    text = f'user_id,note,item_id,timestamp,click\r\n1,"a\r\n""b"", {long}",2,5,1\r\n\r\n1,,3,6,1\r\n'
    events, report = _read_text(kuaisar, tmp_path, REC, text)
    # Rows start at lines 2 and 5: the first spans two lines, then a blank one is skipped.
    assert events == [("1", "2", 5, 2), ("1", "3", 6, 5)]
    assert report.rows == 2


@pytest.mark.parametrize(
    ("row", "reason", "value"),
    [
        (",2,5,1", "user_id is empty", ""),
        ("1, ,5,1", "item_id is empty", ""),
        ("1,2,,1", "timestamp is neither a number nor an ISO 8601 time", ""),
        ("1,2,yesterday,1", "timestamp is neither a number nor an ISO 8601 time", "yesterday"),
        ("1,2,-5,1", "timestamp is negative", "-5"),
        ("1,2,nan,1", "timestamp is not finite", "nan"),
        ("1,2,inf,1", "timestamp is not finite", "inf"),
        ("1,2,1e19,1", "timestamp is out of range", "1e19"),
        ("1,2,5,yes", "click is no number", "yes"),
        ("1,2,5,", "click is no number", ""),
        ("1,2,5", "not the 4 fields of the header", "3 fields"),
        ("1,2,5,1,9", "not the 4 fields of the header", "5 fields"),
    ],
)
def test_bad_rec_rows_are_set_aside(kuaisar, tmp_path, row, reason, value):
    events, report = _read_text(kuaisar, tmp_path, REC, f"user_id,item_id,timestamp,click\n1,9,4,1\n{row}\n1,8,6,1\n")
    assert [row[1] for row in events] == ["9", "8"]
    assert report.rows == 3
    assert report.bad == {reason: 1}
    assert report.samples == {reason: [{"line": 3, "value": value}]}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"[1, 2]"', "visa apply", "keyword is no list of integers or strings"),
        ('"[1, 2]"', '"[1, 2"', "keyword is no list of integers or strings"),
        ('"[1, 2]"', "[1.5]", "keyword is no list of integers or strings"),
        ('"[1, 2]"', "[True]", "keyword is no list of integers or strings"),
        ('"[1, 2]"', '"{""a"": 1}"', "keyword is no list of integers or strings"),
        ('"[1, 2]"', "[" * 100_000, "keyword is no list of integers or strings"),
        (",1,5,", ",1,,", "search_session_id is empty"),
        (",1,5,", ",,5,", "click_cnt is no number"),
        (",900,", ",soon,", "search_session_timestamp is neither a number nor an ISO 8601 time"),
    ],
)
def test_bad_search_rows_are_set_aside(kuaisar, tmp_path, old, new, reason):
    events, report = _read_text(
        kuaisar, tmp_path, SEARCH, f"{SEARCH_HEADER}\n{GOOD_SEARCH.replace(old, new)}\n{GOOD_SEARCH}\n"
    )
    assert len(events) == 1
    assert report.bad == {reason: 1}


def test_five_samples_of_a_reason_are_kept(kuaisar, tmp_path):
    _, report = _read_text(kuaisar, tmp_path, REC, "user_id,item_id,timestamp,click\n" + "1,2,x,1\n" * 8)
    reason = "timestamp is neither a number nor an ISO 8601 time"
    assert report.bad == {reason: 8}
    assert [sample["line"] for sample in report.samples[reason]] == [2, 3, 4, 5, 6]


def test_malformed_quotes_are_one_bad_row(kuaisar, tmp_path):
    events, report = _read_text(kuaisar, tmp_path, REC, 'user_id,item_id,timestamp,click\n1,"2"x,5,1\n1,3,6,1\n')
    assert [row[1] for row in events] == ["3"]
    assert report.bad == {"malformed csv": 1}


def test_quote_never_closed_is_fatal(kuaisar, tmp_path):
    _, report = _read_text(kuaisar, tmp_path, REC, 'user_id,item_id,timestamp,click\n1,2,5,1\n1,"3,6,1\n1,4,7,1\n')
    assert "ends inside a quoted field that opens at line 3" in report.fatal


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-20],
        lambda whole: whole[: len(whole) // 2] + b"\x00" * 50 + whole[len(whole) // 2 + 50 :],
    ],
)
def test_damaged_gzip_is_fatal(kuaisar, tmp_path, damage):
    rows = "".join(f"{user},2,{user * 7919 % 10007},1\n" for user in range(20_000))
    path = tmp_path / f"{REC}.gz"
    path.write_bytes(damage(gzip.compress(f"user_id,item_id,timestamp,click\n{rows}".encode())))
    _, report = _read(kuaisar, REC, path)
    assert "cannot be unpacked after line" in report.fatal
    assert "bring a whole copy" in report.fatal


def test_text_in_another_encoding_is_fatal(kuaisar, tmp_path):
    (tmp_path / REC).write_bytes("user_id,item_id,timestamp,click\nJörg,2,5,1\n".encode("latin-1"))
    _, report = _read(kuaisar, REC, tmp_path / REC)
    assert "is no UTF-8 text" in report.fatal


def test_find_gives_plain_and_gzip_files_in_a_fixed_order(kuaisar, log):
    (log / f"{SEARCH}.gz").write_bytes(gzip.compress((log / SEARCH).read_bytes()))
    (log / SEARCH).unlink()
    (log / "user_features.csv.gz").write_bytes(gzip.compress(b"user_id,rec_active_level\n"))
    assert kuaisar.find(str(log), _settings(log)) == [
        (REC, str(log / REC), (log / REC).stat().st_size, "", True),
        (SEARCH, str(log / f"{SEARCH}.gz"), (log / f"{SEARCH}.gz").stat().st_size, "", True),
    ]


@pytest.mark.parametrize("name", ["rec_active_level", "reco_active_level"])
def test_both_spellings_of_the_activity_level(kuaisar, log, name):
    (log / "user_features.csv").write_text(f"user_id,onehot_feat1,onehot_feat2,search_active_level,{name}\n1,0,0,3,2\n")
    assert len(kuaisar.find(str(log), _settings(log))) == 2


@pytest.mark.parametrize("table", [REC, SEARCH])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no {table} and no {table}.gz"),
        ("", "{table}: no row. Bring a log with events"),
        (
            "user_id,item_id,search_session_timestamp,keyword,search_session_id,search_source,time\n1,1,1,1,1,1,1\n",
            "{table} has no column",
        ),
        ("HEADER", "{table}: no row. Bring a log with events"),
    ],
)
def test_required_files_that_cannot_be_used(log, table, content, message):
    from components.example_gen.spans import find_logs

    if content is None:
        (log / table).unlink()
    else:
        header = REC_HEADER if table == REC else SEARCH_HEADER
        (log / table).write_text(content.replace("HEADER", f"{header}\n"))
    with pytest.raises(LogError, match=message.format(table=table)):
        find_logs(_settings(log))


def test_missing_columns_are_named(kuaisar, log):
    (log / REC).write_text("user_id,item_id\n1,2\n")
    with pytest.raises(LogError, match="has no column timestamp, click. Its header: user_id, item_id"):
        kuaisar.find(str(log), _settings(log))


def test_optional_file_is_checked_where_present(kuaisar, log):
    (log / "social_network.csv").write_text("user_id\n")
    with pytest.raises(LogError, match="social_network.csv has no column user_follow_id"):
        kuaisar.find(str(log), _settings(log))


def test_plain_and_gzip_of_one_file(kuaisar, log):
    (log / f"{REC}.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(LogError, match="both rec_inter.csv and rec_inter.csv.gz. Keep one"):
        kuaisar.find(str(log), _settings(log))


def test_no_gzip_file_under_a_gzip_name(kuaisar, log):
    (log / SEARCH).rename(log / f"{SEARCH}.gz")
    with pytest.raises(LogError, match="cannot be unpacked"):
        kuaisar.find(str(log), _settings(log))
