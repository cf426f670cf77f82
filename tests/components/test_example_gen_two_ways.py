"""A row is read alone as it is among others: in every reader and format, whatever block it falls into, and whatever
broken row stands beside it. So whole columns at once and field by field are one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.file_report import FileReport
from components.example_gen.settings import LogSettings

IDS = [
    "u",
    "7",
    "7.0",
    " 8\t",
    "1e5",
    "1.5e3",
    "nan",
    "",
    " ",
    "\u3000",
    "\x1fx",
    "a\\nb",
    "[x]",
    "é",
    "007",
    "9007199254740993",
]
TIMES = ["1714543200000", "1714543200000.0", "1.7145432e12", "soon", "nan", ""]
FLAGS = ["1", "0", "2.0", "true", " FALSE ", "yes", ""]
LISTS = [
    '["a", "b"]',
    "['a', 7]",
    "[]",
    "",
    "[4k] monitor",
    "[sale",
    "[1.5]",
    "[null]",
    "[[1]]",
    '["\\ud800"]',
    "red  shoe",
    '[" a ", ""]',
    "x" * 20,
]
NUMBERS = [7, 7.0, 0, 1, -0.0, 1.5, 1e-7, 9007199254740993, 1714543200000, 1714543200000.0, True, None]
VALUES = [*NUMBERS, ["a", 7], [7.0, None], [1.5], [[1]], [], {"x": 1}]
# Whether times are dates or ordinal numbers is a matter of the file, not of a row: here they are dates.
DATES = [
    value for value in VALUES if value is None or value is True or not isinstance(value, int | float) or value > 1e9
]
_COLUMNS = {  # source and table: columns and what may stand in them
    ("kuaisar", "rec_inter.csv"): {"user_id": IDS, "item_id": IDS, "timestamp": TIMES, "click": FLAGS},
    ("kuaisar", "src_inter.csv"): {
        "user_id": IDS,
        "item_id": IDS,
        "search_session_id": IDS,
        "search_session_timestamp": TIMES,
        "keyword": LISTS,
        "click_cnt": FLAGS,
        "search_source": IDS,
    },
    ("events", "recommendations"): {"user_id": IDS, "item_id": IDS, "timestamp_ms": TIMES, "clicked": FLAGS},
    ("events", "searches"): {
        "user_id": IDS,
        "timestamp_ms": TIMES,
        "query_words": LISTS,
        "session_id": IDS,
        "clicked_item_ids": LISTS,
        "shown_item_ids": LISTS,
    },
    ("events", "searches, a row a result"): {
        "user_id": IDS,
        "timestamp_ms": TIMES,
        "query_words": LISTS,
        "item_id": IDS,
        "clicked": FLAGS,
    },
    ("qilin", "recommendation_train"): {
        "user_idx": IDS,
        "request_idx": IDS,
        "rec_result_details_with_idx": [
            "[{'note_idx': 11, 'click': 1, 'request_timestamp': 1714543200000, 'position': 0.0}]",
            "[]",
            "[{",
            "",
            "[{'note_idx': '', 'click': 1, 'request_timestamp': 1714543205} {'note_idx': 1.5e3, 'click': 1, "
            "'request_timestamp': 1714543205}]",
        ],
    },
    ("qilin", "search_train"): {
        "user_idx": IDS,
        "search_idx": IDS,
        "query": LISTS,
        "search_result_details_with_idx": [
            "[{'note_idx': 11, 'click': 1, 'search_timestamp': 1714543200, 'position': 0.0}]",
            "[]",
            '[{"note_idx": "x", "click": null, "search_timestamp": 1714543205}, '
            '{"note_idx": 4, "click": 0, "search_timestamp": 1714543207}]',
        ],
    },
}


def _csv(columns):
    def quoted(text):
        return '"' + text.replace('"', '""') + '"' if set(text) & set('",\n\r') else text

    row = st.tuples(*(st.sampled_from(values).map(quoted) for values in columns.values())).map(",".join)
    broken = st.sampled_from(["oops", "a,b,c,d,e,f,g,h,i", '"2"x,1,2,3'])
    return st.lists(st.one_of(row, row, row, broken), min_size=1, max_size=6)


def _json(columns):
    drawn = ([*values, *(DATES if values is TIMES else VALUES)] for values in columns.values())
    row = st.tuples(*map(st.sampled_from, drawn)).map(
        lambda values: json.dumps(dict(zip(columns, values, strict=True)))
    )
    return st.lists(st.one_of(row, row, row, st.sampled_from(["oops", "[1]", '{"user_id": 1'])), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Events without their lines, counts and samples of a file of rows, in blocks of a size."""
    from components.example_gen.log_file import LogFile
    from components.example_gen.readers import READERS, text_blocks

    folder = tmp_path_factory.mktemp("two ways")

    def run(source, table, ending, header, rows, block_bytes=1 << 20):
        path = folder / f"file{ending}"
        path.write_bytes("".join(f"{line}\n" for line in [*header, *rows]).encode())
        report = FileReport(table, path.name, max_samples=1000)
        log_settings = LogSettings(log_dir=str(folder), source=source, words_per_search=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
            batches = list(READERS[source].read(LogFile(table, str(path), 0), log_settings, report))
        assert report.fatal is None
        events = [
            [row for batch in batches for row in frame(batch).drop("line").rows()]
            for frame in (lambda batch: batch.clicks, lambda batch: batch.shown)
        ]
        samples = [
            (sample["line"] - len(header), reason, sample["value"])
            for reason, kept in report.samples.items()
            for sample in kept
            if sample["line"] > len(header)
        ]
        first = ending == ".jsonl"  # the line that names the columns is a row, which is set aside
        return events, (report.rows - first, report.clicks, report.unclicked), sorted(samples)

    return run


def _check(read, source, table, ending, header, rows, block_bytes):
    events, counts, samples = read(source, table.split(",")[0], ending, header, rows, block_bytes)
    alone = [read(source, table.split(",")[0], ending, header, [row]) for row in rows]
    assert events == [[row for one, *_ in alone for row in one[kind]] for kind in (0, 1)]
    assert counts == tuple(map(sum, zip(*(one[1] for one in alone), strict=True)))
    assert samples == sorted(
        (number, reason, value) for number, (*_, kept) in enumerate(alone, 1) for _, reason, value in kept
    )


@pytest.mark.slow
@pytest.mark.parametrize(("source", "table"), _COLUMNS)
@settings(deadline=None, max_examples=20)
@given(data=st.data(), block_bytes=st.integers(1, 300) | st.just(1 << 20))
def test_rows_of_csv(read, source, table, data, block_bytes):
    columns = _COLUMNS[source, table]
    _check(read, source, table, ".csv", [",".join(columns)], data.draw(_csv(columns)), block_bytes)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "table"), [key for key in _COLUMNS if key[0] == "events"])
@settings(deadline=None, max_examples=25)
@given(data=st.data(), block_bytes=st.integers(1, 300) | st.just(1 << 20))
def test_lines_of_json(read, source, table, data, block_bytes):
    columns = _COLUMNS[source, table]
    # The names are those of the first lines of a file, which a line alone may lack.
    _check(read, source, table, ".jsonl", [json.dumps(dict.fromkeys(columns))], data.draw(_json(columns)), block_bytes)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(data=st.data(), batch_rows=st.integers(1, 4))
@pytest.mark.parametrize("kind", ["text", "float64", "int64", "decimal"])
def test_rows_of_parquet(tmp_path_factory, kind, data, batch_rows):
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.example_gen.readers import columns, tables
    from components.example_gen.readers.rows import apply_rules

    values, dtype = {
        "text": (st.sampled_from(IDS), pa.string()),
        "int64": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
        "float64": (st.integers(-(2**53) + 1, 2**53 - 1).map(float) | st.floats(-1e6, 1e6), pa.float64()),
        "decimal": (
            st.integers(-(10**9), 10**9).map(lambda number: decimal.Decimal(number).scaleb(-2)),
            pa.decimal128(20, 2),
        ),
    }[kind]
    rows = data.draw(
        st.lists(
            st.tuples(st.none() | values, st.none() | st.lists(st.none() | values, max_size=3)), min_size=1, max_size=6
        )
    )
    path = str(tmp_path_factory.getbasetemp() / "rows.parquet")
    rules = {"id": columns.identifier("a"), "items": columns.item_list("b")}

    def read(rows, batch_rows):
        pq.write_table(
            pa.table(
                {
                    "a": pa.array([row[0] for row in rows], dtype),
                    "b": pa.array([row[1] for row in rows], pa.list_(dtype)),
                }
            ),
            path,
        )
        report = FileReport("t", "f", max_samples=100)
        frames = [apply_rules(frame, rules, report) for frame in tables.read_rows(path, ("a", "b"), report, batch_rows)]
        return [row for frame in frames for row in frame.rows()], report

    found, report = read(rows, batch_rows)
    alone = [read([row], 1) for row in rows]
    assert found == [(number, *row[1:]) for number, (kept, _) in enumerate(alone, 1) for row in kept]
    assert report.rows == len(rows)
    assert report.bad == ({"a is empty": bad} if (bad := sum(not kept for kept, _ in alone)) else {})
    if kind != "text":
        for (_, text, items), (value, listed) in zip(found, [row for row in rows if row[0] is not None], strict=True):
            number = type(value)
            assert number(text) == value
            assert list(map(number, items)) == [item for item in listed or [] if item is not None]
            assert text == str(int(value)) or value != int(value)


TEXTS = st.sampled_from(
    [
        *IDS,
        *TIMES,
        *FLAGS,
        *LISTS,
        "1.5e+20",
        "4.87e+18",
        "1e+18",
        "9007199254740992.0",
        "9.0e15",
        "12345678 (float32)",
        '["1e+18"]',
        "[1e18]",
    ]
) | st.text(max_size=6)


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, name=st.sampled_from(["identifier", "optional", "number", "flag", "words", "item_list"]))
def test_a_whole_column_as_field_by_field(text, name):
    import polars as pl

    from components.example_gen.readers import columns
    from components.example_gen.readers.fields import BadField, LostIds

    rule = getattr(columns, name)("x")
    [whole] = pl.DataFrame({"x": [text]}, {"x": pl.String}).select(rule.whole).to_series().to_list()
    try:
        one = rule.one(text, "x")
    except (BadField, LostIds):
        one = None
    # What the whole column has no answer for is left to the field: never the other way round, nor another answer.
    assert whole is None or whole == (list(one) if isinstance(one, tuple | list) else one)
