import sys

import pytest

from scripts import interpreters
from scripts.errors import SetupError
from scripts.interpreters import Interpreter


@pytest.fixture
def machine(monkeypatch):
    """A machine that has the given commands, as `command -> version`."""

    def install(commands, processor="x86_64"):
        def probe(command):
            version = commands.get(command)
            return Interpreter(f"/bin/{command}", version, "/include") if version else None

        monkeypatch.setattr(interpreters, "probe", probe)
        monkeypatch.setattr(interpreters, "commands_of", lambda v: [f"python{v[0]}.{v[1]}", "python3", "collected"])
        monkeypatch.setattr(interpreters.platform, "machine", lambda: processor)

    return install


@pytest.mark.parametrize(
    ("glibc", "commands", "version", "line"),
    [
        ((2, 36), {"python3": (3, 11), "python3.10": (3, 10)}, (3, 10), "a"),
        ((2, 36), {"python3": (3, 11), "collected": (3, 10)}, (3, 10), "a"),
        ((2, 35), {"python3": (3, 10)}, (3, 10), "a"),
        ((2, 39), {"python3": (3, 12), "python3.10": (3, 10)}, (3, 12), "b"),
        ((2, 41), {"python3": (3, 14), "python3.13": (3, 13)}, (3, 13), "b"),
        ((2, 41), {"python3": (3, 14), "python3.10": (3, 10)}, (3, 10), "a"),
    ],
)
def test_line_follows_glibc_and_the_pythons_that_run(machine, glibc, commands, version, line):
    machine(commands)
    chosen = interpreters.choose(glibc)
    assert (chosen.version, chosen.line) == (version, line)


@pytest.mark.parametrize(
    ("glibc", "commands", "processor", "wanted", "says"),
    [
        (None, {}, "x86_64", None, "needs Linux with glibc"),
        ((2, 36), {}, "aarch64", None, "aarch64"),
        ((2, 36), {"python3": (3, 11)}, "x86_64", None, r"No Python 3\.10 found.*2\.36.*LCR_PYTHON"),
        ((2, 39), {"python3": (3, 14)}, "x86_64", None, r"3\.13 found.*--yes python3 python3-venv python3-dev g\+\+$"),
        ((2, 36), {}, "x86_64", "mine", "mine does not run"),
        ((2, 36), {"mine": (3, 12)}, "x86_64", "mine", r"mine is Python 3\.12; with glibc 2\.36 TFX runs on 3\.10\."),
    ],
)
def test_refusal_is_one_line_that_says_what_to_do(machine, glibc, commands, processor, wanted, says):
    machine(commands, processor)
    with pytest.raises(SetupError, match=says) as caught:
        interpreters.choose(glibc, wanted)
    assert "\n" not in str(caught.value)


def test_named_python_wins(machine):
    machine({"mine": (3, 10), "python3": (3, 13)})
    assert interpreters.choose((2, 41), "mine").version == (3, 10)


def test_probe_sees_through_virtual_environments_and_survives_what_does_not_run(tmp_path):
    mine = interpreters.probe(sys.executable)
    assert mine is not None
    assert mine.version == sys.version_info[:2]
    assert not mine.path.startswith(sys.prefix + "/") or sys.prefix == sys.base_prefix
    assert interpreters.probe("no-such-python") is None
    shim = tmp_path / "python3.10"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.probe(str(shim)) is None
