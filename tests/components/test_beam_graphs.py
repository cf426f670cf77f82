"""ExampleGen's Beam pipeline can run on an engine that knows no null: no element is None, no coder is nullable.

`test_data_check.py` and `test_evaluator_results.py` look at the other pipelines that code of ours is in.
"""

import apache_beam as beam
import pytest

from tests.support.beam_graphs import StrictPipeline, nullable_collections, side_inputs

SPLITS = {
    "leave_one_out": {},
    "time": {"eval_share": 0.2, "test_share": 0.1},
    "days": {"eval_days": 1e-7, "test_days": 1e-7},
    "time_points": {"eval_from": "2024-05-01T06:00:00.020Z", "test_from": "2024-05-01T06:00:00.040Z"},
}
KUAISAR = {
    "rec_inter.csv": "click,user_id,timestamp,item_id\n"
    "1,ann,1714543200010,i1\n"
    "1,ann,1714543200020,i2\n"
    "1,ann,1714543200040,i3\n1,ann,1714543200050,i4\n"
    "1,bob,1714543200015,i5\n",
    "src_inter.csv": (
        "user_id,search_session_id,search_session_timestamp,keyword,item_id,click_cnt,search_source\n"
        'ann,1,1714543200005,"[7, 8]",i2,1,X\n'
    ),
}
EVENTS = {
    "recommendations.csv": "user_id,item_id,timestamp_ms,clicked\n"
    "ann,i1,1714543200010,1\nann,i2,1714543200020,1\nann,i3,1714543200040,1\nann,i4,1714543200050,1\n"
    "bob,i5,1714543200015,1\n",
    "searches.csv": 'user_id,timestamp_ms,query_words,clicked_item_ids\nann,1714543200005,red shoe,"[""i2""]"\n',
}
NO_CLICK = {**KUAISAR, "rec_inter.csv": "click,user_id,timestamp,item_id\n0,ann,1714543200010,i1\n"}


def _write(folder, files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("source", "files"), [("kuaisar", KUAISAR), pytest.param("events", EVENTS, marks=pytest.mark.long)]
)
def test_example_gen(run_log, tmp_path, split, source, files):
    pipelines = []

    def make(**options):
        pipelines.append(StrictPipeline(**options))
        return pipelines[-1]

    run = run_log(
        _write(tmp_path / "log", files),
        make_pipeline=make,
        source=source,
        split=split,
        num_negatives=1,
        export_candidates=True,
        **SPLITS[split],
    )
    assert any("Cuts" in name for name in side_inputs(pipelines[0].proto))  # they were looked at
    assert run.report["log"]["clicks"] == 5
    assert (run.report["cuts"] is None) == (split == "leave_one_out")


@pytest.mark.slow
def test_example_gen_with_imported_candidates(run_log, tmp_path):
    log = _write(tmp_path / "log", KUAISAR)
    first = run_log(log, num_negatives=1, export_candidates=True)
    again = run_log(log, make_pipeline=StrictPipeline, candidates_file=f"{first.candidates}/*.parquet")
    assert again.records == first.records


@pytest.mark.slow
@pytest.mark.parametrize("split", ["leave_one_out", "time"])
def test_a_log_without_a_click_has_no_cuts(run_log, tmp_path, split):
    """The collection of periods is empty then, and so is that of cuts."""
    from components.example_gen.errors import LogError

    with pytest.raises(LogError, match="click"):
        run_log(_write(tmp_path / "log", NO_CLICK), make_pipeline=StrictPipeline, split=split)


def test_a_nullable_coder_is_found():
    """What this file looks for, in the form in which it once ended a job on Flink."""

    def cuts(period: int) -> tuple[int, int] | None:
        return None if period else (1, 2)

    def use(_: int, cuts: tuple[int, int] | None) -> int:
        return 1 if cuts else 0

    pipeline = beam.Pipeline()
    found = pipeline | "Periods" >> beam.Create([1]) | "Cuts" >> beam.Map(cuts)
    _ = pipeline | "Users" >> beam.Create([1]) | "Use" >> beam.Map(use, beam.pvalue.AsSingleton(found))
    proto = pipeline.to_runner_api(use_fake_coders=False)
    assert nullable_collections(proto) == side_inputs(proto) != []


def test_a_none_is_found():
    with pytest.raises(Exception, match="An element of Nothing is None"), StrictPipeline() as pipeline:
        _ = pipeline | beam.Create([1]) | "Nothing" >> beam.Map(lambda _: None)
