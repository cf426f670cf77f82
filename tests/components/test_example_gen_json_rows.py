"""Lines of JSON give the same text at once as line by line, whatever stands beside them: a property of any lines."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen.file_report import FileReport

COLUMNS = ("a", "b")
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.integers(2**53 - 3, 2**53 + 3),
    st.floats(allow_nan=False),
    st.floats(0, 1e-5),
    st.integers(-100, 100).map(float),
    st.sampled_from([-0.0, 2.0**53, 2.0**53 - 1, 1e16, 123456789012345.6]),
).map(json.dumps) | st.sampled_from(
    [
        "-0",
        "1E5",
        "1e2",
        "1.10",
        "1e400",
        "1e-400",
        "9007199254740993.0",
        "12e15",
        "0e0",
        "123456789012345678901e-2",
        "3" * 40,
        "NaN",
        "-Infinity",
        "01",
        "1.",
        "+1",
    ]
)
STRINGS = st.one_of(
    st.text(max_size=5),
    st.text('[]{},:."\\\n\r\t\0 -0123ent', max_size=8),
    st.sampled_from(["[4k] monitor", "[1, 2]", "[sale, new", "{a}", "-0", "9007199254740993", "1.0", " ", "\u2028"]),
)
TEXTS = st.one_of(
    STRINGS.map(json.dumps),
    STRINGS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [r'"\ud800"', r'"\udc00x"', r'"\ud83d\ude00"', r'"\ud800A"', r'"\u0000"', r'"\/"', '"\t"', r'"\x"']
    ),
)
SCALARS = st.one_of(NUMBERS, TEXTS, st.sampled_from(["true", "false", "null"]))
LISTS = st.lists(SCALARS, max_size=3).map(lambda values: f"[{', '.join(values)}]")
VALUES = st.one_of(
    SCALARS,
    SCALARS,
    LISTS,
    st.sampled_from(
        ["{}", '{"x": 1}', "[[1]]", '[{"x": 1}]', "[", "nul", "", "[1,2 ]", '[""]', r'["a\\nb"]', r'["a\"b"]', '["[1"]']
    ),
)
NAMES = st.sampled_from(["a", "a", "b", "b", "other", r"\u0061"])
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=3).map(
    lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
)
LINES = st.one_of(
    OBJECTS,
    OBJECTS,
    OBJECTS,
    st.sampled_from(
        [
            "",
            " ",
            "oops",
            "[1]",
            "null",
            '{"a": 1}{"a": 2}',
            '{"a": 1} x',
            ' {"a": 1} ',
            '{"a":',
            '{"a": 1}\r',
            "\u3000",
        ]
    ),
)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Rows and report of a file of lines, in blocks of a size."""
    from components.example_gen.readers import json_rows, text_blocks

    path = tmp_path_factory.mktemp("json") / "file.jsonl"

    def run(lines, block_bytes=1 << 20, at_once=True):
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        report = FileReport("t", "f", max_samples=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
            if not at_once:
                patch.setattr(json_rows, "_whole_block", lambda *arguments: None)
            rows = [row for frame in json_rows.read_rows(str(path), COLUMNS, report) for row in frame.rows()]
        return rows, report

    return run


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(lines=st.lists(LINES, min_size=1, max_size=5), block_bytes=st.integers(1, 200) | st.just(1 << 20))
@example(lines=['{"a": 1.0}', "oops"], block_bytes=1 << 20)
@example(lines=['{"a": 4873214862074861440.0}', '{"a": 4873214862074861440}'], block_bytes=1 << 20)
@example(lines=['{"a": [9007199254740993.0]}', '{"a": [null]}', '{"a": [1.5, true]}'], block_bytes=1 << 20)
@example(lines=['{"a": [[1]]}', '{"a": [{"x": 1}]}'], block_bytes=1 << 20)
@example(lines=['{"a": [true]}', '{"a": [-0.0]}', '{"a": [2.5]}', '{"a": [1, -0.0]}'], block_bytes=1 << 20)
@example(lines=['{"a": [0.0]}', '{"a": [-5.0, 1e2, 7]}'], block_bytes=1 << 20)
@example(lines=[r'{"a": ["x\\ny"]}', r'{"a": ["x\ny"]}'], block_bytes=1 << 20)
@example(lines=[r'{"a": "\ud800"}', r'{"a": "\u0000"}'], block_bytes=1 << 20)
@example(lines=['{"a": 1, "a": 2}', '{"a": -0.0, "b": 1e-7}'], block_bytes=1 << 20)
@example(lines=['{"a": 1}{"a": 2}', '{"a": {"x": 1}}'], block_bytes=1 << 20)
def test_at_once_as_line_by_line(read, lines, block_bytes):
    assert read(lines, block_bytes) == read(lines, at_once=False)


@settings(deadline=None, max_examples=150)
@given(lines=st.lists(LINES, min_size=1, max_size=5))
def test_a_line_depends_on_itself_alone(read, lines):
    rows, report = read(lines)
    alone = [read([line]) for line in lines]
    assert [row[1:] for row in rows] == [row[1:] for one, _ in alone for row in one]
    assert [row[0] for row in rows] == [number for number, (one, _) in enumerate(alone, 1) for _ in one]
    assert report.rows == sum(one.rows for _, one in alone)
    assert sum(report.bad.values()) == sum(sum(one.bad.values()) for _, one in alone)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("1e2", "100"),
        ("-0.0", "0"),
        ("1.10", "1.1"),
        ("1e-7", "0.0000001"),
        ('"7.0"', "7.0"),
        ("9007199254740991.0", "9007199254740991"),
        ("9007199254740993", "9007199254740993"),
        ("null", ""),
        ("true", "true"),
        ('[1, 2.0, "x", null, 2.5]', '[1, 2, "x", "", "2.5"]'),
        ("[]", "[]"),
        ("NaN", ""),
        ("4873214862074861440.0", "4.873214862074862e+18"),
    ],
)
@pytest.mark.parametrize("beside", [[], ["oops"]])
def test_text_of_values(read, value, text, beside):
    [row, *_], _ = read([f'{{"a": {value}}}', *beside])
    assert row[1] == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('{"x": 1}', "a is no text, number or list of them"),
        ("[[1]]", "a is no text, number or list of them"),
        (r'"\ud800"', "a holds half of a surrogate pair, which is no character"),
    ],
)
def test_values_that_are_set_aside(read, value, reason):
    rows, report = read(['{"a": 1}', f'{{"a": {value}}}', '{"a": 2}'])
    assert [row[:2] for row in rows] == [(1, "1"), (3, "2")]
    assert (report.rows, report.bad, report.samples[reason][0]["line"]) == (3, {reason: 1}, 2)
