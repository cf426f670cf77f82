"""The commands `models` and `rollback`: what they print and refuse, and that they are quick."""

import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

from components.pusher import local
from components.pusher.manifest import Facts
from tfx_pipeline.commands.models import models, rollback

COMMAND = "import sys; from tfx_pipeline.cli import main; sys.argv = ['lcr-ser', *sys.argv[1:]]; main()"


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """Versions 1000 and 1001."""
    monkeypatch.setattr(local.time, "time", lambda: 1000.0)
    for ndcg in (0.25, 0.75):
        folder = tmp_path / str(ndcg)
        folder.mkdir()
        (folder / "saved_model.pb").write_text(str(ndcg))
        local.push(folder, tmp_path / "serving", Facts({"NDCG@5": ndcg}, "0123456789abcdef", "fedcba"), 5)
    return tmp_path / "serving"


def _run(command, serving, *arguments):
    result = CliRunner().invoke(command, [*arguments, "--serving_dir", str(serving)])
    return result.exit_code, result.output


def _rows(output):
    rows = ([cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│"))
    return {row[0]: row[1:] for row in rows}


def test_versions_are_listed_with_their_metrics_and_which_is_served(serving):
    code, output = _run(models, serving, "--verify")
    rows = _rows(output)
    assert code == 0
    assert list(rows) == ["1001", "1000"]
    assert [rows[version][0] for version in rows] == ["served", ""]
    assert [rows[version][5] for version in rows] == ["0.7500", "0.2500"]
    assert rows["1001"][9:] == ["01234567", "fedcba"]
    assert "2 versions are as their manifests say" in output


def test_a_rollback_says_what_is_served_and_how_to_undo_it(serving):
    code, output = _run(rollback, serving)
    assert (code, output.splitlines()) == (
        0,
        ["served     1000, was 1001", "withdrawn  1001 (`lcr-ser rollback 1001` brings it back)"],
    )
    assert {version: row[0] for version, row in _rows(_run(models, serving)[1]).items()} == {
        "1001": "withdrawn",
        "1000": "served",
    }
    assert _run(rollback, serving, "1001")[1] == "served     1001, was 1000\n"
    assert _run(rollback, serving, "1001")[1] == "served     1001 (as before)\n"


@pytest.mark.parametrize("command", [models, rollback])
def test_a_directory_without_versions_is_named(tmp_path, command):
    code, output = _run(command, tmp_path / "none")
    assert code == 1
    assert f"{tmp_path / 'none'} holds no pushed model." in output


def test_damage_and_other_pushers_versions_are_shown(serving):
    (serving / "1000" / "saved_model.pb").write_text("changed")
    (serving / "1000").rename(serving / "1002")
    (serving / "7").mkdir()
    (serving / "7" / "saved_model.pb").write_text("stock")
    code, output = _run(models, serving, "--verify")
    assert code == 1
    assert _rows(output)["7"][1] == "no manifest"
    assert "1002: saved_model.pb has changed" in output
    assert "7: assets.extra/manifest.json is missing" in output


def test_the_command_line_rolls_back_without_tensorflow_in_less_than_two_seconds(serving):
    watched = f"try:\n    {COMMAND}\nexcept SystemExit as end:\n    print(end.code, 'tensorflow' in sys.modules)"
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", watched, "rollback", "--serving_dir", str(serving)],
        capture_output=True,
        text=True,
        check=True,
    )
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "0 False"
    # Of the processor, since other tests run beside it; it waits for nothing else.
    assert ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime < 2.0
