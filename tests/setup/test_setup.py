import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import requisites, setup
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
    (tmp_path / "requirements" / f"gpu-{python.line}.txt").write_text("nvidia==1\n")
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


def test_environment_without_a_gpu_has_the_stamp_of_those_before():
    python = probe(sys.executable)
    stamp = Setup(str(ROOT), python, Stages("/dev/null")).wanted()
    lock = ROOT / "requirements" / f"line-{python.line}.txt"
    assert stamp == {"root": str(ROOT), "python": python.path, "lock": hashlib.sha256(lock.read_bytes()).hexdigest()}


def test_another_choice_of_a_gpu_is_installed_into_the_same_environment(checkout):
    checkout.add_gpu()
    assert not checkout.has_packages()
    assert checkout._reusable()
    checkout.finish()
    assert checkout.has_packages()
    Path(checkout.gpu_lock).write_text("nvidia==2\n")
    assert not checkout.has_packages()
    checkout.gpu_lock = None
    assert not checkout.has_packages()


@pytest.mark.parametrize(("wanted", "locks", "title"), [(False, ["line"], "GB"), (True, ["line", "gpu"], "with CUDA")])
def test_locks_are_installed_together(checkout, monkeypatch, capsys, wanted, locks, title):
    calls = []
    monkeypatch.setattr(Setup, "uv", lambda self, *arguments, hint: calls.append(arguments))
    for step in ("install_tools", "install_project", "verify"):
        monkeypatch.setattr(Setup, step, lambda self: None)
    monkeypatch.setattr(setup.interpreters, "choose", lambda *_: checkout.python)
    monkeypatch.setenv("LCR_GPU", str(int(wanted)))
    Path(checkout.stamp).unlink()
    setup.main(checkout.root)
    [sync] = calls
    assert sync[:2] == ("pip", "sync")
    folder = Path(checkout.root) / "requirements"
    assert list(sync[-len(locks) - 1 :]) == [
        str(folder / "bootstrap.txt"), *(str(folder / f"{name}-{checkout.python.line}.txt") for name in locks)
    ]  # fmt: skip
    assert title in capsys.readouterr().out
    assert ("gpu" in json.loads(Path(checkout.stamp).read_text())) == wanted


def test_disk_is_wanted_for_what_is_not_there_yet(checkout):
    assert checkout.needed_gib() == 0
    checkout.add_gpu()
    assert checkout.needed_gib() == requisites.GPU_GIB
    checkout.finish()
    assert checkout.needed_gib() == 0
    checkout.venv = checkout.venv + "-missing"
    assert checkout.needed_gib() == requisites.NEEDED_GIB
    checkout.stamp = checkout.stamp + "-missing"
    assert checkout.needed_gib() == requisites.NEEDED_GIB + requisites.GPU_GIB


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
