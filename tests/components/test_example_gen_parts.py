"""Which files of a directory are a table's: parts, folders of parts, partitions; and which are no data."""

import pytest
from test_example_gen_event_form import LISTS, REC, T, _read, _write

from components.example_gen.errors import LogError
from components.example_gen.settings import LogSettings


def _settings(log_dir, **values):
    return LogSettings(log_dir=str(log_dir), source="events", **values)


def _found(log_dir, **values):
    """Names of the files that are read, and what lies beside them."""
    from components.example_gen import spans

    found = spans.find_logs(_settings(log_dir, **values))
    return [file.name for _, files in found for file in files], spans.find_beside(_settings(log_dir, **values), found)


@pytest.fixture
def log(tmp_path):
    _write(tmp_path / "searches.jsonl", LISTS)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "recommendations/.part-0.parquet",
        "recommendations/_temporary.parquet",
        "recommendations/.~part-0.parquet",
        "recommendations/_temporary/0/part-0.parquet",
        "recommendations/.staging/dt=1/part-0.parquet",
        "recommendations/_SUCCESS",
        "recommendations/.part-0.parquet.crc",
        "recommendations/part-0.parquet.tmp",
        "recommendations/part-0.json",
        "recommendations/old/part-0.parquet",
        ".recommendations.parquet",
        "_recommendations/part-0.parquet",
        "recommendations.csv.bak",
        "recommendations-0.txt",
        ".recommendations-0.parquet",
    ],
)
def test_what_is_no_data_is_left_out_and_named(log, name):
    _write(log / "recommendations" / "part-0.parquet", REC)
    other = log / name
    other.parent.mkdir(exist_ok=True, parents=True)
    other.write_bytes((log / "recommendations" / "part-0.parquet").read_bytes())
    names, beside = _found(log)
    assert names == ["recommendations/part-0.parquet", "searches.jsonl"]
    assert beside == ([name], [])
    clicks, *_ = _read(log)
    assert len(clicks) == 2


def test_files_of_other_names_are_nobodys(log):
    for name in ("recommendations.parquet", "clicks.parquet", "notes/recommendations.txt"):
        _write(log / name, REC)
    names, beside = _found(log)
    assert names == ["recommendations.parquet", "searches.jsonl"]
    assert beside == ([], [])


def test_what_was_left_out_is_in_the_error_where_nothing_is_left(log):
    (log / "recommendations").mkdir()
    (log / "recommendations" / "part-0.json").write_text("{}")
    with pytest.raises(
        LogError,
        match=r"holds no recommendations \(.parquet, .*\), but what is no data: "
        r"recommendations/part-0.json. Set `log_dir`",
    ):
        _found(log)
    (log / "searches.jsonl").unlink()
    with pytest.raises(LogError, match="and no directory that does.* Left out as no data: recommendations/part-0.json"):
        _found(log)


@pytest.mark.parametrize("name", ["log [2024]", "log?x", "log*", "[a]", "{b}", "log [!x]", "a b", "день"])
@pytest.mark.parametrize("inside", ["", "2024-05-01"])
def test_a_path_is_a_path(tmp_path, name, inside):
    for directory, user in (
        (tmp_path / name, "right"),
        (tmp_path / "log 2", "wrong"),
        (tmp_path / "logx", "wrong"),
        (tmp_path / "logyx", "wrong"),
        (tmp_path / "a", "wrong"),
    ):
        _write(directory / inside / "recommendations" / "part-0.csv", [{**REC[0], "user_id": user}])
        _write(directory / inside / "searches-0.jsonl", LISTS)
    clicks, shown, _ = _read(tmp_path / name)
    assert [row[0] for row in clicks] == ["right"]
    assert len(shown) == 4


@pytest.mark.parametrize("name", ["log [2024]", "log?x"])
@pytest.mark.parametrize("pattern", ["candidates-*.parquet", "candidates-0.parquet", "candidates-[0].parquet"])
def test_the_directory_of_a_pattern_is_a_path(tmp_path, name, pattern):
    from apache_beam.io.filesystems import FileSystems

    from components.common.file_patterns import beam_pattern

    for directory in (tmp_path / name, tmp_path / "log 2", tmp_path / "logyx"):
        directory.mkdir()
        (directory / "candidates-0.parquet").write_text("")
    [match] = FileSystems.match([beam_pattern(f"{tmp_path / name}/{pattern}")])
    assert [file.path for file in match.metadata_list] == [str(tmp_path / name / "candidates-0.parquet")]
    [match] = FileSystems.match([beam_pattern(f"{tmp_path}/log?*/candidates-*")])  # of no directory's name: a pattern
    assert len(match.metadata_list) == 3


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("folder", ["recommendations{}", "recommendations-2024{}", "recommendations"])
def test_folders_of_parts(log, ending, folder):
    _write(log / folder.format(ending) / f"part-0{ending}", REC)
    _write(log / folder.format(ending) / f"part-1{ending}", REC[:1])
    clicks, *_ = _read(log)
    assert [row[:2] for row in clicks] == [("u1", "7"), ("ü 2", "9"), ("u1", "7")]


def _without_rows(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows)[:0], path)
    else:
        path.write_text("user_id,item_id,timestamp_ms,clicked\n" if path.name == "part-1.csv" else "")


@pytest.mark.parametrize("empty", ["part-1.parquet", "part-1.csv", "part-2.csv", "part-1.jsonl"])
def test_a_part_without_rows_is_no_fault(log, empty):
    ending = "." + empty.split(".")[1]
    _write(log / "recommendations" / f"part-0{ending}", REC)
    _without_rows(log / "recommendations" / empty, REC)
    clicks, _, reports = _read(log)
    assert len(clicks) == 2
    assert [report.rows for report in reports] == [3, 0, 2]
    (log / "recommendations" / f"part-0{ending}").unlink()
    with pytest.raises(LogError, match=rf"recommendations/{empty}: no row. Bring a log with events"):
        _read(log)


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz", ".jsonl"])
def test_partitions(log, ending):
    for day in ("2024-05-02", "2024-05-01"):
        for hour in (0, 1):
            _write(
                log / "recommendations" / f"dt={day}" / f"hour={hour}" / f"part-0{ending}",
                [{**REC[0], "user_id": f"{day} {hour}"}],
            )
    clicks, _, reports = _read(log)
    users = [f"{day} {hour}" for day in ("2024-05-01", "2024-05-02") for hour in (0, 1)]
    assert [row[0] for row in clicks] == users
    assert [report.file for report in reports[:-1]] == [
        f"recommendations/dt={user.replace(' ', '/hour=')}/part-0{ending}" for user in users
    ]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_a_partition_is_a_column_where_the_file_has_none_of_its_name(log, ending):
    for shop in ("a%2Fb", "__HIVE_DEFAULT_PARTITION__"):
        rows = [{name: value for name, value in REC[0].items() if name != "user_id"}]
        _write(log / "recommendations" / f"shop={shop}" / "user_id=of the folder" / f"part-0{ending}", rows)
        _write(log / "recommendations" / f"shop={shop}" / "user_id=of the folder" / f"part-1{ending}", REC[:1])
    clicks, *_ = _read(log)
    assert [row[0] for row in clicks] == ["of the folder", "u1"] * 2
    clicks, _, reports = _read(log, columns={"recommendations.item_id": "shop"})
    assert [row[1] for row in clicks] == ["a/b"] * 2
    assert [report.bad for report in reports] == [{"shop is empty": 1}] * 2 + [{}] * 3
    with pytest.raises(LogError, match="has no column site. Its header: .*shop, user_id"):
        _read(log, columns={"recommendations.item_id": "site"})


def test_days_as_partitions(tmp_path):
    for day in ("2024-05-01", "2024-05-02"):
        _write(tmp_path / f"date={day}" / "recommendations" / "part-0.parquet", [{**REC[0], "user_id": day}])
    _write(tmp_path / "date=2024-05-01" / "searches.parquet" / "part-0.parquet", LISTS)
    _write(tmp_path / "_date=2024-05-03" / "recommendations.csv", REC)
    names, beside = _found(tmp_path)
    assert names == [
        "recommendations/part-0.parquet",
        "searches.parquet/part-0.parquet",
        "recommendations/part-0.parquet",
    ]
    assert beside == (["_date=2024-05-03/"], ["date=2024-05-02: searches"])


def test_a_directory_in_the_place_of_a_file_of_kuaisar(tmp_path):
    from components.example_gen.spans import find_logs

    _write(tmp_path / "rec_inter.csv" / "part-0.csv", REC)
    with pytest.raises(LogError, match="rec_inter.csv is a directory. Put its parts into one file, or choose"):
        find_logs(LogSettings(log_dir=str(tmp_path)))


def test_files_left_out_of_kuaisar(tmp_path):
    from components.example_gen import spans

    for name in ("rec_inter.csv", ".rec_inter.csv", "rec_inter.csv.bak", "_src_inter.csv.gz"):
        (tmp_path / name).write_text("user_id,item_id,timestamp,click\n1,2,5,1\n")
    (tmp_path / "src_inter.csv").write_text(
        "user_id,item_id,click_cnt,search_session_timestamp,keyword,search_session_id\n1,11,1,900,[3],5\n"
    )
    log_settings = LogSettings(log_dir=str(tmp_path))
    beside = spans.find_beside(log_settings, spans.find_logs(log_settings))
    assert beside.left_out == [".rec_inter.csv", "_src_inter.csv.gz", "rec_inter.csv.bak"]


def test_the_report_and_the_console_name_what_was_left_out(run_log, tmp_path):
    from components.example_gen.log_report import format_counts

    clicks = [
        {"user_id": f"u{user}", "item_id": f"i{(user + turn) % 7}", "timestamp_ms": T + turn, "clicked": 1}
        for user in range(4)
        for turn in range(4)
    ]
    for day in ("1", "2"):
        _write(tmp_path / "log [x]" / day / "recommendations" / "part-0.csv", clicks)
    _write(tmp_path / "log [x]" / "1" / "searches.csv", LISTS)
    (tmp_path / "log [x]" / "1" / "recommendations" / "_SUCCESS").write_text("")
    report = run_log(tmp_path / "log [x]", source="events", num_negatives=2).report
    assert report["beside"] == {"left_out": ["1/recommendations/_SUCCESS"], "missing": ["2: searches"]}
    text = format_counts(report)
    assert "1 files left out, for they are no data: 1/recommendations/_SUCCESS\n" in text
    assert "spans that lack a table: 2: searches" in text
