"""One pipeline run, shared by all end-to-end tests: the installed `tfx` command, in a process of its own."""

import json
from pathlib import Path

import pytest

from tests.support.workspace import ROOT, FinishedRun, Workspace


@pytest.fixture(scope="session")
def log_dir(tmp_path_factory) -> Path:
    from synthetic_logs.demo import DemoLogSettings, write_demo_log

    folder = tmp_path_factory.mktemp("log")
    write_demo_log(folder, DemoLogSettings(num_users=300, num_topics=6, subtopics=3))
    return folder


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, log_dir) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("e2e"), log_dir)


@pytest.fixture(scope="session")
def first_run(workspace) -> FinishedRun:
    """`tfx run create --pipeline_path` on the directory, from the repository root."""
    result = workspace.command("run", "create", "--pipeline_path", "tfx_pipeline/", cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    [version] = workspace.versions
    figures = json.loads((workspace.run_dir / "run.json").read_text())
    return FinishedRun(result.stdout, result.stderr, version, figures)
