import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.interpreters import probe
from scripts.setup import Setup
from scripts.stages import Stages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A set-up whose environment is the running Python's, seen through a link, with its stamp written."""
    python = probe(sys.executable)
    assert python is not None
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / f"line-{python.line}.txt").write_text("a==1\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(python.path)
    setup = Setup(str(tmp_path), python, Stages(str(tmp_path / "build" / "setup.log")))
    setup.finish()
    return setup


def test_finished_environment_is_kept(checkout):
    assert checkout.has_packages()
    assert checkout._reusable()


def test_changed_lock_is_installed_into_the_same_environment(checkout):
    Path(checkout.lock).write_text("a==2\n")
    assert not checkout.has_packages()
    assert checkout._reusable()


def test_interrupted_environment_is_thrown_away(checkout):
    Path(checkout.unfinished).touch()
    assert not checkout.has_packages()
    assert not checkout._reusable()


def test_copied_environment_is_thrown_away(checkout):
    Path(checkout.stamp).write_text(json.dumps({**checkout.wanted(), "root": "/elsewhere"}))
    assert not checkout._reusable()


def test_damaged_stamp_does_not_count(checkout):
    Path(checkout.stamp).write_text("{")
    assert not checkout.has_packages()


def test_any_python_passes_a_python_that_refuses_to_run(tmp_path):
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    reply = subprocess.run(
        [ROOT / "scripts" / "any-python", "-c", "print('started')"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "LCR_PYTHON": str(shim)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if Path("/usr/bin/python3").exists() or Path("/usr/local/bin/python3").exists():
        assert reply.stdout == "started\n"
    else:
        assert "Install python3" in reply.stderr


def test_installed_tfx_command_is_ours():
    script = Path(sys.executable).parent / "tfx"
    assert "tfx_pipeline.cli" in script.read_text(), "run make setup: upstream's tfx script is installed"
