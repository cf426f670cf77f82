"""DataCheck stops the push: the components' own executors in turn, on statistics that TFDV made."""

import json
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.components.example_validator.executor import Executor as ExampleValidator
from tfx.types import artifact_utils, standard_artifacts

import tests.support.in_memory_statistics as in_memory_statistics
from components.common.artifacts import GateVerdict, KeptStatistics, LogReport
from components.common.verdict import read_verdict
from components.curated_schema.component import Executor as CuratedSchema
from components.data_check.component import requests_fingerprint
from components.data_check.executor import Executor as DataCheck
from components.data_check.pushed_statistics import find
from components.data_check.settings import DataCheckSettings
from components.pusher.executor import Executor as Pusher
from components.statistics_keeper.component import Executor as StatisticsKeeper
from tests.support.beam_graphs import StrictPipeline
from tests.support.transform_graph import BEAM_ARGUMENTS, SCHEMA_FILE, example

SETTINGS = {"drift": {"search_words": {"infinity_norm": 0.3}}, "skew": {"rec_items": {"infinity_norm": 0.3}}}


def requests(word="red", item="a", user=("u",), **more):
    """Ten requests; half of their words, and of the clicked items, are the given ones."""
    return [
        example(
            user=list(user),
            rec_items=[item, "b"],
            search_words=[word, "shoe"],
            search_word_counts=[2],
            search_items=[],
            search_item_counts=[0],
            candidates=["a", "c"],
            **more,
        )
        for _ in range(10)
    ]


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in records:
            writer.write(record)
    return str(path)


class Runs:
    """Runs of the part of the pipeline that data passes, in one place, with a model that is always good enough."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0

    def artifact(self, kind, name, **properties):
        artifact = kind()
        artifact.uri = str(self.folder / str(self.number) / name)
        for key, value in properties.items():
            artifact.set_int_custom_property(key, value)
        return artifact

    def __call__(self, records, bad_rows=0, **settings):
        """The verdict, and whether the model was pushed; `bad_rows` of 1,000 rows of the log could not be read."""
        self.number += 1
        statistics = self.artifact(standard_artifacts.ExampleStatistics, "statistics")
        statistics.split_names = artifact_utils.encode_split_names(["test"])
        split = Path(artifact_utils.get_split_uri([statistics], "test"))
        split.mkdir(parents=True)
        (split / "FeatureStats.pb").write_bytes(in_memory_statistics.statistics(records).SerializeToString())
        schema = self.artifact(standard_artifacts.Schema, "schema")
        CuratedSchema().Do({}, {"schema": [schema]}, {"text": SCHEMA_FILE.read_text()})
        anomalies = self.artifact(standard_artifacts.ExampleAnomalies, "anomalies")
        ExampleValidator().Do({"statistics": [statistics], "schema": [schema]}, {"anomalies": [anomalies]}, {})
        log_report = self.artifact(LogReport, "log_report")
        Path(log_report.uri).mkdir()
        bad = [{"reason": "no number", "rows": bad_rows, "samples": [{"line": 7, "value": "x"}]}] if bad_rows else []
        file = {"file": "rec_inter.csv", "rows": 1000, "bad_rows": bad_rows, "bad": bad}
        Path(log_report.uri, "log_report.json").write_text(json.dumps({"files": [file]}))
        inputs = {"log_report": [log_report], "statistics": [statistics], "schema": [schema], "anomalies": [anomalies]}
        return self._check_and_push(inputs, DataCheckSettings(**{**SETTINGS, **settings}))

    def _check_and_push(self, inputs, settings):
        verdict = self.artifact(GateVerdict, "verdict")
        context = DataCheck.Context(
            tmp_dir=str(self.folder),
            unique_id=str(self.number),
            make_beam_pipeline_fn=lambda: StrictPipeline(argv=BEAM_ARGUMENTS),
        )
        directories = {"serving_dir": str(self.folder / "serving"), "statistics_dir": str(self.folder / "statistics")}
        DataCheck(context).Do(inputs, {"verdict": [verdict]}, {"settings": settings.to_json(), **directories})
        model = self.artifact(standard_artifacts.Model, "model")
        Path(model.uri, "Format-Serving").mkdir(parents=True)
        Path(model.uri, "Format-Serving", "saved_model.pb").write_text(f"model {self.number}")
        pushed = self.artifact(standard_artifacts.PushedModel, "pushed")
        Pusher().Do(
            {
                "model": [model],
                "verdict": [verdict],
                "examples": [self.artifact(standard_artifacts.Examples, "examples")],
                "evaluation": [self.artifact(standard_artifacts.ModelEvaluation, "evaluation")],
                "model_blessing": [self.artifact(standard_artifacts.ModelBlessing, "model_blessing", blessed=1)],
            },
            {"pushed_model": [pushed]},
            {**directories, "keep_versions": 5, "model_code": ""},
        )
        StatisticsKeeper().Do(
            {"statistics": inputs["statistics"], "pushed_model": [pushed]},
            {"kept": [self.artifact(KeptStatistics, "kept")]},
            directories,
        )
        was_pushed = bool(pushed.get_string_custom_property("pushed_version"))
        assert bool(verdict.get_int_custom_property("passed")) == was_pushed
        return read_verdict(verdict), was_pushed


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr("components.pusher.executor.model_metrics", lambda uri: {"candidate": {}})
    return Runs(tmp_path)


def test_the_first_run_is_pushed_and_says_what_was_not_checked(runs):
    verdict, pushed = runs(requests())
    assert pushed
    assert verdict.reasons == ()
    assert [note.split(":")[0] for note in verdict.notes] == ["drift was not checked", "skew was not checked"]


def test_drift_stops_the_push_until_the_data_is_as_before(runs):
    runs(requests())
    verdict, pushed = runs(requests(word="blue"))
    assert not pushed
    # Half of the words were red and none is: by L-infinity the distance is 0.5.
    assert verdict.reasons == ("search_words drifted: L-infinity 0.5 > 0.3",)
    assert verdict.detail["measurements"][0]["value"] == pytest.approx(0.5)
    # Nothing was pushed, so the next run is compared with the first one still.
    verdict, pushed = runs(requests())
    assert pushed
    assert verdict.reasons == ()


def test_drift_that_a_person_accepts_is_what_later_runs_are_compared_with(runs):
    runs(requests())
    assert runs(requests(word="blue"), drift={})[1]
    assert runs(requests(word="blue"))[1]
    assert runs(requests())[0].reasons == ("search_words drifted: L-infinity 0.5 > 0.3",)


@pytest.mark.slow
def test_requests_that_differ_from_the_served_ones_stop_the_push(runs, tmp_path):
    pattern = write(tmp_path / "served" / "day-1.gz", requests(item="z")).replace("day-1", "day-*")
    verdict, pushed = runs(requests(), serving_requests=pattern)
    assert not pushed
    assert verdict.reasons == ("rec_items is skewed against serving: L-infinity 0.5 > 0.3",)
    write(tmp_path / "served" / "day-1.gz", requests())
    verdict, pushed = runs(requests(), serving_requests=pattern)
    assert pushed
    assert [one["kind"] for one in verdict.detail["measurements"]] == ["skew"]


def test_too_many_bad_rows_stop_the_push(runs):
    verdict, pushed = runs(requests(), bad_rows=11)
    assert not pushed
    assert verdict.reasons == (
        "rec_inter.csv: 11 of 1,000 rows cannot be read (no number: 11, first at line 7: 'x'), "
        "more than `max_bad_share` = 0.01 allows",
    )
    assert runs(requests(), bad_rows=10)[1]
    assert runs(requests(), bad_rows=11, max_bad_share=0.011)[1]


def test_a_schema_anomaly_stops_the_push(runs):
    verdict, pushed = runs(requests(user=()))
    assert not pushed
    [reason] = verdict.reasons
    assert reason.startswith("user in test: ")


def test_times_are_of_their_type_and_need_not_be_as_before(runs, tmp_path):
    first = 1_714_543_200_000
    assert runs(requests(rec_times=[first, first + 1], search_times=[first]))[1]
    year = 365 * 86_400_000
    later = requests(rec_times=[first + year, first + 2 * year], search_times=[first + year])
    # Served requests lack them.
    verdict, pushed = runs(later, serving_requests=write(tmp_path / "served.gz", requests()))
    assert pushed
    assert (verdict.reasons, verdict.notes) == ((), ())
    for name in ("rec_times", "search_times"):
        verdict, pushed = runs(requests(**{name: ["yesterday"]}))
        assert not pushed
        assert [reason.split(":")[0] for reason in verdict.reasons] == [f"{name} in test"]


@pytest.mark.slow
def test_served_requests_are_held_against_the_schema_too(runs, tmp_path):
    pattern = write(tmp_path / "served.gz", requests(user=("u", "another")))
    verdict, pushed = runs(requests(), serving_requests=pattern)
    assert not pushed
    [reason] = verdict.reasons
    assert reason.startswith("user in serving requests: ")


def test_a_pattern_without_requests_is_an_error(runs, tmp_path):
    with pytest.raises(ValueError, match="should match files"):
        runs(requests(), serving_requests=str(tmp_path / "none-*"))


def test_new_requests_change_the_cache_key(tmp_path):
    pattern = str(tmp_path / "served-*.gz")
    assert requests_fingerprint(None) == requests_fingerprint(pattern) == ""
    write(tmp_path / "served-1.gz", requests())
    one = requests_fingerprint(pattern)
    assert one == requests_fingerprint(pattern)
    write(tmp_path / "served-2.gz", requests())
    assert requests_fingerprint(pattern) != one


def test_half_written_statistics_are_never_read(runs, tmp_path):
    runs(requests())
    [kept] = (tmp_path / "statistics").iterdir()
    assert find(str(tmp_path / "statistics"), str(tmp_path / "serving")).datasets[0].num_examples == 10
    kept.rename(f"{kept}.part")
    assert find(str(tmp_path / "statistics"), str(tmp_path / "serving")) is None


def test_the_schema_is_checked_when_it_is_handed_over(tmp_path):
    schema = standard_artifacts.Schema()
    schema.uri = str(tmp_path / "schema")
    with pytest.raises(Exception, match="no_such_field"):
        CuratedSchema().Do({}, {"schema": [schema]}, {"text": "no_such_field: 1"})
