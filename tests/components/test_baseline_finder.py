"""BaselineFinder: the newest complete version, or none."""

from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.baseline_finder.executor import Executor
from components.common.versions import newest_version


def _push(serving_dir: Path, version: str, complete: bool = True) -> Path:
    path = serving_dir / version
    (path / "variables").mkdir(parents=True)
    (path / "variables" / "variables.index").write_text(version)
    if complete:
        (path / "saved_model.pb").write_text(version)
    return path


def _find(serving_dir: Path, tmp_path: Path) -> list:
    baseline = standard_artifacts.Model()
    baseline.uri = str(tmp_path / "baseline")
    output = {"baseline": [baseline]}
    Executor().Do({"candidate": [standard_artifacts.Model()]}, output, {"serving_dir": str(serving_dir)})
    return output["baseline"]


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_was_pushed_yet(tmp_path, exists):
    if exists:
        (tmp_path / "serving").mkdir()
    assert _find(tmp_path / "serving", tmp_path) == []


def test_versions_are_compared_as_numbers(tmp_path):
    for version in ("9", "10"):
        _push(tmp_path / "serving", version)
    assert newest_version(str(tmp_path / "serving")) == str(tmp_path / "serving" / "10")


def test_half_copied_versions_and_other_folders_are_passed_over(tmp_path):
    expected = _push(tmp_path / "serving", "5")
    _push(tmp_path / "serving", "6", complete=False)
    _push(tmp_path / "serving", "tmp7")
    assert newest_version(str(tmp_path / "serving")) == str(expected)


def test_the_version_is_copied_to_where_the_evaluator_looks_for_a_model(tmp_path):
    _push(tmp_path / "serving", "7")
    [baseline] = _find(tmp_path / "serving", tmp_path)
    assert (tmp_path / "baseline" / "Format-Serving" / "saved_model.pb").read_text() == "7"
    assert (tmp_path / "baseline" / "Format-Serving" / "variables" / "variables.index").exists()
    assert baseline.get_string_custom_property("pushed_version") == "7"
