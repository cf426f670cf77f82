"""The Pusher reads its gates and its inputs, and its output says what came of it; also where no rename is atomic."""

import os
import shutil
from pathlib import Path

import pytest
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.local import LocalFilesystem
from tfx.types import standard_artifacts

from components.common import gates
from components.common.artifacts import GateVerdict
from components.common.verdict import Verdict, write_verdict
from components.common.versions import newest_version
from components.pusher import executor as pusher
from components.pusher import remote
from components.pusher.manifest import Facts, find_damage, read_manifest
from components.pusher.rollback import rollback
from serving.versions import find_versions


class Buckets(LocalFilesystem):
    """`bucket://` is a folder of this machine whose directories cannot be renamed; it notes what was written."""

    SUPPORTED_SCHEMES = ("bucket://",)
    root: Path
    written: list[str] = []

    @classmethod
    def local(cls, path):
        return str(cls.root / str(path).removeprefix("bucket://"))

    @classmethod
    def open(cls, name, mode="r"):
        if "w" in mode:
            cls.written.append(name)
        return LocalFilesystem.open(cls.local(name), mode)

    @classmethod
    def rename(cls, *args, **kwargs):
        raise AssertionError("a directory is not renamed at once here")

    exists = classmethod(lambda cls, path: LocalFilesystem.exists(cls.local(path)))
    isdir = classmethod(lambda cls, path: LocalFilesystem.isdir(cls.local(path)))
    listdir = classmethod(lambda cls, path: [f"{name}/" for name in LocalFilesystem.listdir(cls.local(path))])
    makedirs = classmethod(lambda cls, path: LocalFilesystem.makedirs(cls.local(path)))
    remove = classmethod(lambda cls, path: LocalFilesystem.remove(cls.local(path)))
    rmtree = classmethod(lambda cls, path: LocalFilesystem.rmtree(cls.local(path)))


@pytest.fixture(scope="module", autouse=True)
def registered():
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Buckets, priority=0)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(Buckets, "root", tmp_path / "bucket", raising=False)
    monkeypatch.setattr(Buckets, "written", [])
    return tmp_path / "bucket" / "serving"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the executor on a model with the given content, and gives the properties of its output."""
    monkeypatch.setattr(pusher, "model_metrics", lambda uri: {"candidate": {"NDCG@5": 0.25}, "baseline": {}})
    monkeypatch.setattr(
        pusher,
        "evaluator_verdict",
        lambda uri, blessed: Verdict("Evaluator", () if blessed else ("the model was not blessed",)),
    )

    def artifact(kind, name):
        made = kind()
        made.uri = str(tmp_path / name)
        return made

    def execute(content="a", blessed=True, verdicts=None, serving_dir=None):
        inputs = {
            "model": artifact(standard_artifacts.Model, f"trained-{content}"),
            "model_blessing": artifact(standard_artifacts.ModelBlessing, "blessing"),
            "evaluation": artifact(standard_artifacts.ModelEvaluation, "evaluation"),
            "examples": artifact(standard_artifacts.Examples, "examples"),
            **{name: artifact(GateVerdict, name) for name in verdicts or {"verdict": ()}},
        }
        inputs["model_blessing"].set_int_custom_property("blessed", int(blessed))
        inputs["examples"].set_string_custom_property("input_fingerprint", "of the log")
        for name, reasons in (verdicts or {"verdict": ()}).items():
            write_verdict(inputs[name], Verdict(name, tuple(reasons)))
        saved = Path(inputs["model"].uri, "Format-Serving", "variables")
        saved.mkdir(parents=True, exist_ok=True)
        (saved / "variables.index").write_text("index")
        (saved.parent / "saved_model.pb").write_text(content)
        output = artifact(standard_artifacts.PushedModel, "pushed")
        pusher.Executor().Do(
            {key: [value] for key, value in inputs.items()},
            {"pushed_model": [output]},
            {"serving_dir": serving_dir or str(tmp_path / "serving"), "keep_versions": 2, "model_code": "of the code"},
        )
        texts = ("pushed_version", "pushed_destination", "reason")
        return output.get_int_custom_property("pushed"), *map(output.get_string_custom_property, texts)

    return execute


def test_a_push_is_what_the_report_and_the_keeper_of_statistics_read(run, tmp_path):
    pushed, version, destination, reason = run()
    assert (pushed, destination, reason) == (1, str(tmp_path / "serving" / version), "")
    assert read_manifest(Path(destination)).facts == Facts({"NDCG@5": 0.25}, "of the log", "of the code")
    assert run() == (0, version, destination, f"unchanged: version {version} is this model already")


def test_after_a_rollback_the_served_version_is_the_last_pushed_one_to_all_readers(run, tmp_path):
    first, second = run("a")[1], run("b")[1]
    assert newest_version(str(tmp_path / "serving")).endswith(second)
    rollback(tmp_path / "serving")
    assert newest_version(str(tmp_path / "serving")).endswith(first)
    assert list(find_versions(tmp_path / "serving")) == [int(first)]
    assert run("b")[:3] == (0, "", "")  # a person withdrew it
    assert run("c")[0] == 1
    assert len(find_versions(tmp_path / "serving")) == 2


@pytest.mark.parametrize(
    ("blessed", "verdicts", "reason"),
    [
        (False, {"verdict": ()}, "Evaluator: the model was not blessed"),
        (True, {"verdict": ("drifted", "skewed")}, "verdict: drifted; verdict: skewed"),
        (True, {"verdict": (), "servable_verdict": ("slow",)}, "servable_verdict: slow"),
        (
            False,
            {"verdict": ("drifted",), "servable_verdict": ()},
            "Evaluator: the model was not blessed; verdict: drifted",
        ),
    ],
)
def test_each_gate_stops_the_push_with_its_reason(run, tmp_path, blessed, verdicts, reason):
    assert run(blessed=blessed, verdicts=verdicts) == (0, "", "", reason)
    assert not (tmp_path / "serving").exists()
    assert run(verdicts={"verdict": (), "servable_verdict": ()})[0] == 1


def test_a_new_gate_is_an_entry_of_the_table(run, monkeypatch):
    monkeypatch.setitem(gates.GATES, "fairness_verdict", gates.Gate())
    assert gates.gate_inputs()["fairness_verdict"].type is GateVerdict
    assert run(verdicts={"verdict": (), "fairness_verdict": ("unfair",)})[3] == "fairness_verdict: unfair"


def test_without_renames_the_graph_is_written_last(run, bucket, monkeypatch):
    monkeypatch.setattr(remote.time, "time", lambda: 1000.0)
    assert run(serving_dir="bucket://serving") == (1, "1000", "bucket://serving/1000", "")
    names = [name.removeprefix("bucket://serving/1000/") for name in Buckets.written]
    assert names == ["assets.extra/manifest.json", "variables/variables.index", "saved_model.pb"]
    assert find_damage(bucket / "1000") == []
    assert run(serving_dir="bucket://serving")[3] == "unchanged: version 1000 is this model already"
    assert [run(content, serving_dir="bucket://serving")[1] for content in "bc"] == ["1001", "1002"]
    assert sorted(os.listdir(bucket)) == ["1001", "1002"]


def test_a_number_that_another_push_claimed_is_not_written_on(run, bucket, monkeypatch):
    copy = remote._copy

    def copy_and_be_overtaken(source, target):
        copy(source, target)
        manifest = next(bucket.glob("*/assets.extra/manifest.json"))
        manifest.write_text(manifest.read_text().replace("of the log", "of another log"))

    monkeypatch.setattr(remote, "_copy", copy_and_be_overtaken)
    with pytest.raises(RuntimeError, match="claimed by another push"):
        run(serving_dir="bucket://serving")
    assert not list(bucket.glob("*/saved_model.pb"))


def test_what_a_killed_push_left_without_renames_is_removed_after_an_hour(run, bucket, monkeypatch):
    monkeypatch.setattr(remote.time, "time", lambda: 1000.0)
    run(serving_dir="bucket://serving")
    shutil.copytree(bucket / "1000", bucket / "1001")
    (bucket / "1001" / "saved_model.pb").unlink()
    monkeypatch.setattr(remote.time, "time", lambda: 1000.0 + 3600)
    run("b", serving_dir="bucket://serving")
    assert sorted(os.listdir(bucket)) == ["1000", "1001", "4600"]
    monkeypatch.setattr(remote.time, "time", lambda: 1000.0 + 3601)
    run("c", serving_dir="bucket://serving")
    assert sorted(os.listdir(bucket)) == ["4600", "4601"]
