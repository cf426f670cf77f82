import sys

import pytest

from scripts import requisites
from scripts.errors import SetupError
from scripts.interpreters import Interpreter, probe


def test_missing_headers_are_named_with_their_package(tmp_path):
    with pytest.raises(SetupError, match=r"Python\.h is missing.*python3\.10-dev"):
        requisites.check_compiler(Interpreter("python", (3, 10), str(tmp_path)))


def test_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(SetupError, match=r"No C\+\+ compiler"):
        requisites.check_compiler(Interpreter("python", (3, 10), str(tmp_path)))


def test_full_disk_is_named(tmp_path):
    with pytest.raises(SetupError, match=r"GiB are free at .*, 1000000 are needed"):
        requisites.check_disk(str(tmp_path), needed_gib=1e6)


def test_python_without_venv_is_named(tmp_path):
    split = tmp_path / "python3"
    split.write_text("#!/bin/sh\nexit 1\n")
    split.chmod(0o755)
    with pytest.raises(SetupError, match=r"no working venv module.*python3\.11-venv"):
        requisites.check_venv_module(Interpreter(str(split), (3, 11), ""))


def test_this_python_has_a_venv_module():
    python = probe(sys.executable)
    assert python is not None
    requisites.check_venv_module(python)
