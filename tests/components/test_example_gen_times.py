"""Columns of times: what a text means whichever path reads it, which are refused, and what requests then see."""

import csv
import json
import random
import re
from datetime import datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.log_report import format_counts
from components.example_gen.settings import LogSettings
from components.example_gen.times import TIME_TEXT, judge_times

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BEIJING = timezone(timedelta(hours=8))
AS_UTC = "ISO 8601 without an offset, taken as UTC"
LAST_YEAR = 2027


def _milliseconds(time):
    return (time - EPOCH) // timedelta(milliseconds=1)


T = _milliseconds(datetime(2024, 5, 1, 6, 30, tzinfo=timezone.utc))


@pytest.fixture(scope="module")
def fields():
    from components.example_gen.readers import fields

    return fields


@pytest.fixture(scope="module")
def columns():
    from components.example_gen.readers import columns

    return columns


def _whole(columns, text):
    frame = pl.DataFrame({"t": [text]}, schema={"t": pl.String})
    return tuple(frame.select(rule.whole).item() for rule in (columns.moment("t"), columns.unit("t")))


def _one(fields, text):
    """Time and unit, or the reason why there is none."""
    try:
        return fields.moment(text, "t"), fields.unit(text, "t")
    except fields.BadField as error:
        return error.reason


@pytest.mark.parametrize(
    ("text", "milliseconds", "unit"),
    [
        ("2024-05-01T06:30:00Z", T, "ISO 8601"),
        ("2024-05-01t06:30:00z", T, "ISO 8601"),
        ("2024-05-01T06:30Z", T, "ISO 8601"),
        ("2024-05-01 06:30:00 UTC", T, "ISO 8601"),
        ("2024-05-01T06:30:00+00", T, "ISO 8601"),
        ("2024-05-01T14:30:00+08", T, "ISO 8601"),
        ("2024-05-01T14:30:00+0800", T, "ISO 8601"),
        ("2024-05-01 14:30:00 +08:00", T, "ISO 8601"),
        ("2024-04-30T22:00:00-08:30", T, "ISO 8601"),
        ("2024-5-1 6:30:00", T, AS_UTC),
        ("2024-05-01 06:30", T, AS_UTC),
        ("2024-05-01 06", T - 30 * 60_000, AS_UTC),
        ("2024-05-01", T - 390 * 60_000, AS_UTC),
        ("2024-05-01T06:30:00.123456789Z", T + 123, "ISO 8601"),
        ("2024-05-01T06:30:00,9", T + 900, AS_UTC),
        ("2024-05-01T06:30:00.0009999", T, AS_UTC),
        (f"{T}", T, "ms"),
        (f"{T}.9", T, "ms"),
        ("1.7145450000e+12", T, "ms"),
        (f"{T // 1000}", T, "s"),
        (f"{T // 1000}.123", T + 123, "s"),
        (f"{T // 1000}.001", T + 1, "s"),
        (f"{T}123", T, "us"),
        (f"{T}000999", T, "ns"),
        # As a float it is a little less than a whole millisecond.
        (f"{T + 1}000000", T + 1, "ns"),
        (f"{T + 7}000", T + 7, "us"),
        ("0", 0, "ordinal numbers"),
        ("5.0", 5, "ordinal numbers"),
        ("631151999", 631151999, "ordinal numbers"),
        ("631152000", 631152000000, "s"),
        ("0.5", 500, "s"),
        *(
            (text, int(float(text)), "calendar dates written as numbers")
            for text in (
                "20240501",
                "20240501.0",
                "202405010630",
                "20240501063000",
                "20240501063000.5",
                "20240501063000123",
            )
        ),
    ],
)
def test_what_a_text_means(fields, columns, text, milliseconds, unit):
    assert _one(fields, text) == _whole(columns, text) == (milliseconds, unit)
    assert _one(fields, f" {text}\t") == (milliseconds, unit)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (text, "t is neither a number nor an ISO 8601 time")
            for text in (
                "",
                "soon",
                "2024-02-30",
                "2023-02-29T00:00",
                "2024-13-01",
                "2024-05-01T24:00",
                "2024-05-01T06:60",
                "2024-05-01T06:30:60",
                "2024-05-01x06:30",
                "2024-05-01T06:30+8",
                "2024-05-01T06:30+24:00",
                "2024-05-01Z",
                "24-05-01",
                "01/05/2024",
                "2024/05/01",
                "20240501T063000",
                "2024-W18-3",
                "2024-05-01T06:30:00.",
                "2024-05",
                "２０２４-05-01",
                "2024-05-01T06:30:00+08:00:00",
                "0000-01-01",
            )
        ),
        ("nan", "t is not finite"),
        ("-inf", "t is not finite"),
        ("-1", "t is negative"),
        ("9223372036854775808", "t is out of range"),
        ("1e21", "t is out of range"),
    ],
)
def test_what_is_no_time(fields, columns, text, reason):
    assert _one(fields, text) == reason
    assert _whole(columns, text)[0] is None


def _spoilt(texts):
    """Texts with a character taken out or put in."""
    return st.tuples(texts, st.integers(0, 30), st.sampled_from(["", *"0123456789-:TtZz+. ,e"])).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + (drawn[2] == "") :]
    )


ISO_TEXTS = st.from_regex(TIME_TEXT, fullmatch=True)
NUMBERS = st.one_of(
    st.integers(0, 10**20).map(str),
    st.floats(0, 1e21).map(repr),
    st.integers(0, 10**9).map(str),
    st.floats(6e8, 2e9).map(repr),
    st.floats(6e8, 2e9).map(lambda value: f"{value:.3f}"),
    st.floats(6e11, 2e12).map(lambda value: f"{value:e}"),
    st.builds(
        "{:04}{:02}{:02}{}".format,
        st.integers(1890, 2110),
        st.integers(0, 13),
        st.integers(0, 32),
        st.from_regex(r"(?:[0-9]{4}|[0-9]{6}|[0-9]{9})?", fullmatch=True),
    ),
)
TEXTS = st.one_of(
    ISO_TEXTS,
    NUMBERS,
    _spoilt(ISO_TEXTS),
    _spoilt(NUMBERS),
    st.integers(-5, 5).map(str),
    st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat),
    st.text(st.sampled_from("0123456789-:TZ+. eEnaif_\u0663\u00a0"), max_size=20),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=600)
@given(TEXTS)
@example("1_0")
@pytest.mark.long
def test_both_paths_agree(fields, columns, text):
    """What whole columns read, single fields read alike; what they leave open is refused, or oddly written."""
    whole, one = _whole(columns, text), _one(fields, text)
    if whole[0] is not None:
        assert whole == one
    elif not isinstance(one, str):
        assert re.search(r"[\s_]|[^\x00-\x7f]", text)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(
    time=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    minutes=st.integers(-1439, 1439),
    digits=st.integers(0, 6),
    pattern=st.sampled_from(["{}T{}{}", "{} {}{}", "{}t{} {}"]),
    padded=st.booleans(),
    offset=st.sampled_from(["", "Z", "z", "+h", "+hm", "+h:m"]),
)
def test_iso_texts_mean_what_their_parts_say(fields, columns, time, minutes, digits, pattern, padded, offset):
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    rest = 0 if offset == "+h" else rest
    ahead = timedelta(minutes=(hours * 60 + rest) * (-1 if minutes < 0 else 1)) if offset[:1] == "+" else timedelta()
    written = {"+h": f"{sign}{hours:02}", "+hm": f"{sign}{hours:02}{rest:02}", "+h:m": f"{sign}{hours:02}:{rest:02}"}
    day = f"{time:%Y-%m-%d}" if padded else f"{time.year}-{time.month}-{time.day}"
    clock = f"{time:%H:%M:%S}" + (f".{time.microsecond:06}"[: digits + 1] if digits else "")
    text = pattern.format(day, clock, written.get(offset, offset))
    seen = time.replace(microsecond=time.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    expected = _milliseconds((seen - ahead).replace(tzinfo=timezone.utc))
    assert _one(fields, text) == _whole(columns, text) == (expected, "ISO 8601" if offset else AS_UTC)


def _write_kuaisar(directory, texts):
    with (directory / "rec_inter.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("user_id", "item_id", "timestamp", "click"), *(("u", "i", text, 1) for text in texts)]
        )
    return LogFile("rec_inter.csv", str(directory / "rec_inter.csv"), 0)


def _write_events(directory, texts):
    path = directory / "recommendations.jsonl"
    path.write_text(
        "".join(
            json.dumps({"user_id": "u", "item_id": "i", "timestamp_ms": text, "clicked": 1}) + "\n" for text in texts
        )
    )
    return LogFile("recommendations", str(path), 0)


def _write_qilin(directory, texts):
    results = [[{"note_idx": "i", "position": 1, "request_timestamp": text, "click": 1}] for text in texts]
    path = directory / "recommendation_train.parquet"
    pl.DataFrame(
        {
            "user_idx": ["u"] * len(texts),
            "request_idx": list(map(str, range(len(texts)))),
            "rec_result_details_with_idx": results,
        }
    ).write_parquet(path)
    return LogFile("recommendation_train", str(path), 0)


WRITERS = {"kuaisar": _write_kuaisar, "events": _write_events, "qilin": _write_qilin}


def _read(source, directory, texts, last_year=LAST_YEAR):
    """Times of the clicks, and the report."""
    from components.example_gen.readers import READERS

    file = WRITERS[source](directory, texts)
    report = FileReport(file.table, file.name, last_year=last_year)
    batches = list(READERS[source].read(file, LogSettings(log_dir=str(directory), source=source), report))
    return [time for batch in batches for time in batch.clicks["timestamp"]], report


@pytest.mark.parametrize("source", WRITERS)
def test_rows_one_by_one_are_read_as_whole_columns_are(source, columns, tmp_path_factory):
    directory = tmp_path_factory.mktemp(source)

    @settings(deadline=None, max_examples=40)
    @given(st.lists(TEXTS, min_size=1, max_size=8))
    @example(["2024-05-01T06:30:00+00", "2024-05-01T06:30:00+0800", "2024-5-1 6:30:00", "2024-02-30", f"{T}"])
    def check(texts):
        at_once = _read(source, directory, texts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "_moments", lambda text: pl.Series([None] * len(text), dtype=pl.Int64))
            assert _read(source, directory, texts) == at_once
        assert at_once[1].rows == len(texts) == len(at_once[0]) + sum(at_once[1].bad.values())

    check()


COLUMN = {"kuaisar": "timestamp", "events": "timestamp_ms", "qilin": "request_timestamp"}


@pytest.mark.parametrize("source", WRITERS)
@pytest.mark.parametrize(
    ("texts", "kept", "bad", "repaired"),
    [
        # A file of dates: what is no date of 1990 to the year after the run is set aside, whatever its form.
        ([f"{T}", "0", f"{T + 1}"], [T, T + 1], {"is outside 1990 to 2027": 1}, {}),
        ([f"{T}", "4102444800", "1989-12-31T23:59:59.999Z", f"{T}"], [T, T], {"is outside 1990 to 2027": 2}, {}),
        (
            ["1990-01-01", "2027-12-31T23:59:59.999Z", "2028-01-01T00:00Z"],
            [631152000000, 1830297599999],
            {"is outside 1990 to 2027": 1},
            {f"in {AS_UTC}": 1, "in ISO 8601": 1},
        ),
        ([f"{T}", "20240501", f"{T}", "20240501063000"], [T, T], {"is a calendar date written as a number": 2}, {}),
        # Units that their magnitude tells apart.
        ([f"{T // 1000}", f"{T}", f"{T}000", f"{T}000000"], [T] * 4, {}, {"in s": 1, "in us": 1, "in ns": 1}),
        # A file of ordinal numbers.
        (["3", "1.0", "2", f"{T}"], [3, 1, 2], {"is no ordinal number": 1}, {}),
        (
            ["3", "1", "2.5", "20240501", "9"],
            [3, 1, 9],
            {"is no ordinal number": 1, "is a calendar date written as a number": 1},
            {},
        ),
    ],
)
def test_rows_that_do_not_fit_their_column(source, tmp_path, texts, kept, bad, repaired):
    times, report = _read(source, tmp_path, texts)
    assert times == kept
    assert report.bad == {f"{COLUMN[source]} {reason}": rows for reason, rows in bad.items()}
    assert report.repaired == {f"{COLUMN[source]} {reason}": rows for reason, rows in repaired.items()}
    assert judge_times([report], "leave_one_out")["error"] is None
    for reason in report.bad:  # as it stands in the file
        assert report.samples[reason][0]["value"] in texts


def test_the_last_year_is_the_one_after_the_run(tmp_path):
    future = str(_milliseconds(datetime(2028, 6, 1, tzinfo=timezone.utc)))
    assert _read("events", tmp_path, [f"{T}", future], 2028)[1].bad == {}
    assert _read("events", tmp_path, [f"{T}", future], 2027)[1].bad == {"timestamp_ms is outside 1990 to 2027": 1}


def test_the_first_rows_decide_what_a_column_holds(tmp_path, monkeypatch):
    from components.example_gen.readers import text_blocks

    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 60)
    times, report = _read("events", tmp_path, ["0", *[f"{T}"] * 5])
    assert (times, report.bad) == ([0], {"timestamp_ms is no ordinal number": 5})
    assert judge_times([report], "leave_one_out")["error"] == (
        "recommendations.jsonl: timestamp_ms begins with ordinal numbers such as '0' and goes on with dates "
        f"(5 of 6 rows, such as '{T}'). Bring one of the two alone."
    )


def _report(file, column="t", **times):
    units = {
        "utc": AS_UTC,
        "calendar": "calendar dates written as numbers",
        "ordinal": "ordinal numbers",
        "iso": "ISO 8601",
    }
    return FileReport(
        file,
        f"{file}.csv",
        time_column=column,
        last_year=LAST_YEAR,
        times={units.get(unit, unit): {"rows": rows, "first": first} for unit, (rows, first) in times.items()},
    )


DATES = _report("b", ms=(10, "1714545000000"))
ORDINALS = _report("b", ordinal=(10, "3"))


@pytest.mark.parametrize(
    ("files", "split", "error"),
    [
        (
            [DATES, _report("a", calendar=(7, "20240501"), ms=(3, "1"))],
            "time",
            "a.csv: t holds calendar dates written as numbers (7 of 10 rows, such as '20240501'), which do not say in "
            "which time zone. Write unix seconds, milliseconds, microseconds or nanoseconds, or ISO 8601 text such as "
            "2024-05-01T06:30:00+08:00.",
        ),
        (
            [DATES, _report("a", outside=(7, "0"), ms=(3, "1"))],
            "time",
            "a.csv: t is outside 1990 to 2027 (7 of 10 rows, such as '0'). Write unix seconds, milliseconds, "
            "microseconds or nanoseconds, or ISO 8601 text such as 2024-05-01T06:30:00+08:00.",
        ),
        (
            [_report("a", ordinal=(10, "3"), stray=(1, "x")), DATES],
            "time",
            "a.csv: t '3' is an ordinal number, b.csv: t '1714545000000' a date: neither can be put before the other. "
            "Bring dates in all files, or ordinal numbers of one count in all.",
        ),
        (
            [ORDINALS, ORDINALS],
            "days",
            "`split` should be leave_one_out or time where times are ordinal numbers, which "
            "have no days. Received: days, and b.csv: t '3'.",
        ),
        ([ORDINALS, ORDINALS], "time", None),
        ([DATES, _report("a", outside=(5, "0"), ms=(5, "1"))], "days", None),
        ([DATES, _report("a")], "days", None),  # a file without a row that could be read
    ],
)
def test_columns_that_cannot_be_used(files, split, error):
    assert judge_times(files, split)["error"] == error


@pytest.mark.parametrize(
    ("files", "notes"),
    [
        ([DATES, DATES, _report("a", ms=(1, "1"), outside=(1, "0"))], []),
        ([_report("a", s=(1, "1")), _report("b", s=(2, "1"))], []),
        (
            [_report("a", s=(1, "1")), DATES],
            ["Times are in different units, all read as unix milliseconds (a: t in s; b: t in ms)."],
        ),
        (
            [_report("a", ms=(1, "1"), s=(2000, "1")), _report("a", ms=(1, "1"))],
            ["a: t mixes units (2 rows in ms, 2,000 rows in s); each row was read in its own."],
        ),
        (
            [ORDINALS, _report("c", "when", ordinal=(1, "0")), ORDINALS],
            ["Times are ordinal numbers, no dates (b: t; c: when): they say what came first, not when."],
        ),
    ],
)
def test_notes(files, notes):
    assert judge_times(files, "leave_one_out")["notes"] == notes


def test_a_log_that_was_read_in_another_year_is_read_again(tmp_path):
    from components.example_gen.read_cache import ReadCache

    file = _write_events(tmp_path, [f"{T}"])
    keys = [ReadCache("", "code").key(file, LogSettings(log_dir="log"), year) for year in (2027, 2027, 2028)]
    assert keys[0] == keys[1] != keys[2]


def _write_log(directory, source, clicks, searches):
    """Write (user, item, time) and (user, time, item) in a form of the log."""
    if source == "kuaisar":
        tables = {
            "rec_inter.csv": [("user_id", "item_id", "timestamp", "click"), *((*row, 1) for row in clicks)],
            "src_inter.csv": [
                ("user_id", "search_session_timestamp", "item_id", "keyword", "search_session_id", "click_cnt"),
                *((*row, "[1]", n, 1) for n, row in enumerate(searches)),
            ],
        }
    else:
        tables = {
            "recommendations.csv": [("user_id", "item_id", "timestamp_ms", "clicked"), *((*row, 1) for row in clicks)],
            "searches.csv": [
                ("user_id", "timestamp_ms", "item_id", "query_words", "clicked"),
                *((*row, "shoe", 1) for row in searches),
            ],
        }
    for name, rows in tables.items():
        with (directory / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def _searches_before(request, clicks, searches):
    """How many searches of a request's user are strictly earlier than its target."""
    user, target = request["user"][0].decode(), request["candidates"][request["label"][0]].decode()
    [time] = [when for who, item, when in clicks if (who, item) == (user, target)]
    return sum(who == user and when < time for who, when, _ in searches)


WAYS = {
    "s": lambda time: str(time // 1000),
    "float s": lambda time: f"{time / 1000:.3f}",
    "ms": str,
    "us": lambda time: f"{time}000",
    "ns": lambda time: f"{time}000000",
    "Beijing": lambda time: (EPOCH + timedelta(milliseconds=time)).astimezone(BEIJING).isoformat(),
    "UTC": lambda time: f"{EPOCH + timedelta(milliseconds=time):%Y-%m-%d %H:%M:%S.%f}",
    "ordinal": lambda time: str((time - T) // 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "of_clicks", "of_searches", "notes"),
    [
        ("kuaisar", "s", "ms", 1),
        ("kuaisar", "ms", "s", 1),
        ("kuaisar", "ms", "ms", 0),
        ("kuaisar", "ordinal", "ordinal", 1),
        ("events", "float s", "Beijing", 1),
        ("events", "UTC", "ns", 1),
        ("events", "us", "us", 0),
    ],
)
def test_a_request_sees_the_searches_before_its_target(run_log, tmp_path, source, of_clicks, of_searches, notes):
    """Whatever the units of the tables; times are whole seconds, which all units hold, many of them shared."""
    draw = random.Random(3)
    clicks = [(f"u{user}", f"i{n}", T + 1000 * n) for user in range(9) for n in sorted(draw.sample(range(40), 6))]
    searches = [(f"u{user}", T + 1000 * draw.randrange(40), f"i{n}") for user in range(9) for n in range(5)]
    searches = [*{(user, time): (user, time, item) for user, time, item in searches}.values()]
    _write_log(
        tmp_path,
        source,
        [(*row, WAYS[of_clicks](time)) for *row, time in clicks],
        [(user, WAYS[of_searches](time), item) for user, time, item in searches],
    )
    run = run_log(tmp_path, source=source, num_negatives=2)
    assert (len(run.records["eval"]), len(run.records["test"])) == (9, 9)
    for request in (*run.parsed("eval"), *run.parsed("test")):
        assert len(request["search_word_counts"]) == _searches_before(request, clicks, searches)
    assert len(run.report["times"]["notes"]) == notes
    assert all(note in format_counts(run.report) for note in run.report["times"]["notes"])
    repaired = [sum(one["rows"] for one in file["repaired"]) for file in run.report["files"]]
    assert repaired == [
        len(rows) * (way not in ("ms", "ordinal")) for rows, way in ((clicks, of_clicks), (searches, of_searches))
    ]


@pytest.fixture(params=["here", "shared"])
def case(request, tmp_path):
    """Directory of a case: of its like written here, or of the one beside the repository."""

    def find(name, source, clicks, searches):
        if request.param == "here":
            _write_log(tmp_path, source, clicks, searches)
            return tmp_path
        directory = request.config.rootpath.parent / "shared" / "data" / "cases" / name
        if not directory.is_dir():
            pytest.skip("the cases are not beside the repository (../shared/data)")
        return directory

    return find


FUTURE = _milliseconds(datetime(2026, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    ("name", "click_time", "search_time", "message"),
    [
        (
            "compact_datetimes_leak",
            "2024050{}120000",
            str(FUTURE),
            r"recommendations.csv: timestamp_ms holds calendar dates written as numbers \(20 of 20 rows, such as "
            r"'20240501120000'\), which do not say in which time zone. Write unix seconds, .* ISO 8601 text such as",
        ),
        (
            "compact_dates_leak",
            "171454{}000000",
            "20260101",
            r"searches.csv: timestamp_ms holds calendar dates written as numbers \(4 of 4 rows, such as '20260101'\)",
        ),
    ],
)
def test_calendar_dates_stop_the_run(run_log, case, name, click_time, search_time, message):
    log = case(
        name,
        "events",
        [(f"u{user}", f"i{n}", click_time.format(n + 1)) for user in range(4) for n in range(5)],
        [(f"u{user}", search_time, f"i{user}") for user in range(4)],
    )
    with pytest.raises(LogError, match=message):
        run_log(log, source="events", num_negatives=1, max_bad_share=1.0)


def test_clicks_in_seconds_see_searches_in_milliseconds(run_log, case):
    start = 1714543200
    log = case(
        "kuai_seconds",
        "kuaisar",
        [(user, (user + n) % 12, start + 10 * n) for user in range(40) for n in range(6)],
        [(user, (start + 15) * 1000, user % 12) for user in range(40)],
    )
    run = run_log(log, num_negatives=3)
    with (log / "rec_inter.csv").open() as file:
        times = [int(row["timestamp"]) for row in csv.DictReader(file)]
    assert min(times) == start < start + 15 < start + 40
    assert [file["bad_rows"] for file in run.report["files"]] == [0, 0]
    assert [[(one["reason"], one["rows"]) for one in file["repaired"]] for file in run.report["files"]] == [
        [("timestamp in s", 240)],
        [],
    ]
    for split in ("eval", "test"):  # the fifth and the sixth of a user's clicks, after the search
        assert [len(request["search_word_counts"]) for request in run.parsed(split)] == [1] * 40
    assert run.report["times"] == {
        "error": None,
        "notes": [
            "Times are in different units, all read as unix milliseconds (rec_inter.csv: timestamp in s; "
            "src_inter.csv: search_session_timestamp in ms)."
        ],
    }


def test_a_time_of_the_future_is_set_aside_and_counted(run_log, tmp_path):
    """2099 is the future of whichever clock runs this; the time is a test target otherwise."""
    clicks = [("other", "o", str(T)), *(("u", f"i{n}", str(T + n)) for n in range(200))]
    late = str(_milliseconds(datetime(2099, 1, 1, tzinfo=timezone.utc)))
    _write_log(tmp_path, "events", [*clicks, ("u", "late", late)], [("u", str(T + 5), "i")])
    run = run_log(tmp_path, source="events", num_negatives=1)
    [request] = run.parsed("test")
    assert request["candidates"][request["label"][0]] == b"i199"
    [bad] = run.report["files"][0]["bad"]
    assert re.fullmatch(r"timestamp_ms is outside 1990 to 20\d\d", bad["reason"])
    assert (bad["rows"], bad["samples"]) == (1, [{"line": 203, "value": late}])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "first", "last"),
    [
        ("amazon_beauty_sr_exclusive", (139242, 59260), None, None),
        (
            "trivago_sr",
            (9149, 7780),
            datetime(2018, 11, 7, 8, 2, tzinfo=BEIJING),
            datetime(2018, 11, 9, 7, 59, tzinfo=BEIJING),
        ),
    ],
)
def test_real_sets_pass(request, name, rows, first, last):
    """Rows and periods as the description of the sets has them, counted by other means."""
    from components.example_gen.readers import kuaisar

    directory = request.config.rootpath.parent / "shared" / "data" / name
    if not directory.is_dir():
        pytest.skip("the real sets are not beside the repository (../shared/data)")
    log_settings, reports = LogSettings(log_dir=str(directory)), []
    for file in kuaisar.find(str(directory), log_settings):
        reports.append(FileReport(file.table, file.name, last_year=LAST_YEAR))
        for _ in kuaisar.read(file, log_settings, reports[-1]):
            pass
    assert [(report.times["ms"]["rows"], report.bad, report.repaired) for report in reports] == [
        (count, {}, {}) for count in rows
    ]
    assert judge_times(reports, "time") == {"error": None, "notes": []}
    if first:
        minute = 60_000
        assert min(report.first for report in reports) // minute == _milliseconds(first) // minute
        assert max(report.last for report in reports) // minute == _milliseconds(last) // minute
