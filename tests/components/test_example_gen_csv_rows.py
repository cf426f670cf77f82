"""Blocks of a CSV file give what Python's strict `csv` gives on the whole of it, row by row: a property of any text."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

REC_HEADER = "user_id,item_id,timestamp,click"
SEARCH_HEADER = "user_id,item_id,search_session_id,search_session_timestamp,keyword,click_cnt,search_source"

FIELDS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "1",
            "2.0",
            " 3 ",
            "1e3",
            "-1",
            "nan",
            "inf",
            "1_0",
            "1e19",
            "x",
            "٣",
            "\x1f7",
            "\ufeff",
            "[1, 2]",
            "['a', 'b']",
            "[1.5]",
            "[",
            "é",
            '"',
            '""',
            '"a',
            'a"',
            '"a"b',
            "\n",
            "\r",
            "\0",
        ]
    ),
    st.sampled_from(["1", "[1, 2]", '["a", 7]', 'a "b"', "two\nlines", "x,y", "\r\n"]).map(
        lambda text: '"' + text.replace('"', '""') + '"'
    ),
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])


def _rows(width):
    good = st.sampled_from(
        [["1", "2", "5", "1"], ["3", "4", "6", "0"]]
        if width == 4
        else [["1", "2", "9", "5", '"[1, 2]"', "1", "USER"], ["1", "3", "9", "5", '"[1, 2]"', "0", ""]]
    )
    mixed = st.lists(FIELDS, min_size=width, max_size=width)
    row = st.one_of(good, good, mixed, st.lists(FIELDS, min_size=1, max_size=width + 2))
    return st.lists(st.tuples(row, ENDS), max_size=8).map(
        lambda rows: "".join(",".join(fields) + end for fields, end in rows)
    )


def _row_by_row(text, rules, width):
    """The events' raw values, the counts of rows and reasons, and whether the text ends inside quotes."""
    from components.example_gen.readers.fields import BadField

    csv.field_size_limit(1 << 28)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader)
    values, bad, rows = [], [], 0
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return values, bad, rows, False
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                return values, bad, rows, True
            rows += 1
            bad.append((line, "malformed csv", str(error)))
            continue
        if not fields:
            continue
        rows += 1
        if len(fields) != width:
            bad.append((line, f"not the {width} fields of the header", f"{len(fields)} fields"))
            continue
        try:
            values.append((line, *(read(fields[header.index(column)], column) for column, read in rules.items())))
        except BadField as error:
            bad.append((line, error.reason, error.value))


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Run the KuaiSAR reader on a text in blocks of a size."""
    from components.example_gen.log_file import LogFile
    from components.example_gen.readers import kuaisar, text_blocks

    path = tmp_path_factory.mktemp("log") / "file.csv"

    def run(table, text, block_bytes):
        path.write_bytes(text.encode())
        report = FileReport(table, path.name, max_samples=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
            batches = list(kuaisar.read(LogFile(table, str(path), 0), LogSettings(log_dir=str(path.parent)), report))
        return batches, report

    return run


def _check_report(report, bad, rows, unclosed):
    assert report.rows == rows
    assert sorted(
        (sample["line"], reason, sample["value"]) for reason, samples in report.samples.items() for sample in samples
    ) == sorted((line, reason, value[:200]) for line, reason, value in bad)
    assert sum(report.bad.values()) == len(bad)
    assert bool(report.fatal) == unclosed
    if unclosed:
        assert "ends inside a quoted field that opens at line" in report.fatal


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(text=_rows(4), block_bytes=st.integers(1, 80) | st.just(1000))
@example(text='1,2,5,1\n1,"3,6,1\n1,4,7,1\n', block_bytes=8)  # a quote that is never closed
@example(text='1,2,5,1\n"a"b,2,5,1\n1,4,7,1\n', block_bytes=1000)
@example(text="1,2,5,1\n\n\r\n1,4,7,1", block_bytes=1000)
@example(text="\ufeff1,2,5,1\n", block_bytes=1000)  # no byte order mark: it does not begin the file
def test_clicks(read, text, block_bytes):
    from components.example_gen.readers import fields

    text = f"{REC_HEADER}\n{text}"
    rules = {
        "user_id": fields.identifier,
        "item_id": fields.identifier,
        "timestamp": fields.moment,
        "click": fields.number,
    }
    values, *rest = _row_by_row(text, rules, 4)
    clicks = [(user, item, time, line) for line, user, item, time, click in values if click > 0]
    batches, report = read("rec_inter.csv", text, block_bytes)
    assert [row for batch in batches for row in batch.clicks.rows()] == clicks
    assert report.clicks == len(clicks)
    assert (report.first, report.last) == (
        (min(row[2] for row in clicks), max(row[2] for row in clicks)) if clicks else (None, None)
    )
    _check_report(report, *rest)


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(text=_rows(7), block_bytes=st.integers(1, 200) | st.just(1000))
def test_searches(read, text, block_bytes):
    from components.example_gen.readers import fields

    text = f"{SEARCH_HEADER}\n{text}"
    rules = {
        "user_id": fields.identifier,
        "item_id": fields.identifier,
        "search_session_id": fields.identifier,
        "search_session_timestamp": fields.moment,
        "keyword": fields.words,
        "click_cnt": fields.number,
        "search_source": fields.optional,
    }
    values, *rest = _row_by_row(text, rules, 7)
    batches, report = read("src_inter.csv", text, block_bytes)
    assert [row for batch in batches for row in batch.shown.rows()] == [
        (user, time, line, session, list(words), source, item, clicks > 0)
        for line, user, item, session, time, words, clicks, source in values
    ]
    _check_report(report, *rest)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    st.text(st.sampled_from("0123456789+-.eE_ \tnaifINtyx\u0663"), max_size=12)
    | st.floats().map(repr)
    | st.integers().map(str)
)
def test_numbers_of_columns_are_those_of_python(text):
    """What polars takes for a number is one to Python, of the same value; what it does not is left to Python."""
    import polars as pl

    from components.example_gen.readers import columns, fields

    [value] = pl.DataFrame({"x": [text]}).select(columns.number("x").whole).to_series()
    if value is not None:
        assert fields.number(text, "x") == value
    [time] = pl.DataFrame({"x": [text]}).select(columns.moment("x").whole).to_series()
    if time is not None:
        assert fields.moment(text, "x") == time
