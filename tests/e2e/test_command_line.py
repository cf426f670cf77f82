"""The `tfx` command: ours where it must be, upstream's everywhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workspace import ROOT

BIN = Path(sys.executable).parent


def _tfx(*arguments, name="tfx", cwd=ROOT):
    return subprocess.run(
        [str(BIN / name), *arguments], cwd=cwd, check=False, capture_output=True, text=True, timeout=600
    )


def test_the_installed_scripts_are_ours():
    for name in ("tfx", "lcr-ser"):
        assert "from tfx_pipeline.cli import main" in (BIN / name).read_text()


@pytest.mark.long
def test_every_upstream_command_is_still_there():
    from tfx.tools.cli.cli_main import cli_group

    upstream = {
        f"{group} {command}"
        for group in cli_group.commands
        for command in getattr(cli_group.commands[group], "commands", {})
    }
    assert "run create" in upstream
    helps = {group: _tfx(group, "--help").stdout for group in {name.split()[0] for name in upstream}}
    for name in upstream:
        group, command = name.split()
        assert f"  {command}" in helps[group]


@pytest.mark.parametrize("name", ["tfx", "lcr-ser"])
@pytest.mark.long
def test_run_create_takes_a_path_and_keeps_its_old_options(name):
    result = _tfx("run", "create", "--help", name=name)
    assert result.returncode == 0
    assert result.stderr == ""
    for option in ("--pipeline_path", "--pipeline_name", "--engine", "--runtime_parameter"):
        assert option in result.stdout


@pytest.mark.long
def test_a_wrong_setting_is_named_without_a_traceback(monkeypatch):
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "0")
    result = _tfx("run", "create", "--pipeline_path", "tfx_pipeline/")
    assert result.returncode == 1
    assert "`dim` should be at least 1. Received: 0." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '--pipeline_name' (or '--pipeline_path')"),
        pytest.param(
            ("--pipeline_path", "no_such_folder"),
            "should be a runner file or a directory with local_runner.py",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ("--pipeline_path", "tfx_pipeline/", "--engine", "vertex"),
            "runs on the engine local or kubeflow. Received: vertex",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ("--pipeline_path", "tfx_pipeline/", "--engine", "kubeflow"),
            "missing option '--host'",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, message):
    result = _tfx("run", "create", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
