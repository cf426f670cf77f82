import sys

import pytest

from scripts import requisites
from scripts.errors import SetupError
from scripts.interpreters import Interpreter, probe


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A Python as Debian splits it up, alone on its machine: no venv, no headers, no compiler."""
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return Interpreter(str(python), (3, 13), str(tmp_path))


@pytest.mark.parametrize(("user", "sudo"), [(0, ""), (1000, "sudo ")])
def test_all_that_is_missing_is_told_at_once_with_one_command(bare, monkeypatch, user, sudo):
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(SetupError) as caught:
        requisites.check_packages(bare)
    message = str(caught.value)
    assert "\n" not in message
    for lack in (f"{bare.path} has no working venv module", "no C++ compiler", f"{bare.include}/Python.h is missing"):
        assert lack in message
    command = f"{sudo}apt-get update && {sudo}apt-get install --yes python3.13-venv g++ python3.13-dev"
    assert message.endswith(command)


def test_only_what_is_missing_is_named(bare, tmp_path):
    (tmp_path / "Python.h").write_text("")
    (tmp_path / "clang++").write_text("")
    (tmp_path / "clang++").chmod(0o755)
    assert [lack.package for lack in requisites.lacks(bare)] == ["python3.13-venv"]
    (tmp_path / "python3").write_text("#!/bin/sh\n")
    requisites.check_packages(bare)


def test_full_disk_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"GiB are free at .*, 1000000 are needed"):
        requisites.check_disk(str(tmp_path), needed_gib=1e6)


def test_this_python_lacks_nothing():
    python = probe(sys.executable)
    assert python is not None
    requisites.check_packages(python)
