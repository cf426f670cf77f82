import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import gpu
from scripts.errors import SetupError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without nvidia-smi; the function puts one there that prints a text and ends with a status."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(text, status=0):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        command.chmod(0o755)

    return put


def test_a_machine_without_nvidia_smi_gets_no_libraries(machine):
    assert not gpu.is_wanted({})


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ("GPU 0: NVIDIA H200 (UUID: GPU-1f0c4a6e-0000-0000-0000-000000000000)", 0, True),
        ("No devices were found", 6, False),
        ("No devices were found", 0, False),
        ("NVIDIA-SMI has failed because it couldn t communicate with the NVIDIA driver.", 9, False),
    ],
)
def test_a_card_is_what_nvidia_smi_lists(machine, text, status, found):
    machine(text, status)
    assert gpu.is_wanted({}) == found


def test_the_variable_wins_over_what_is_found(machine):
    assert gpu.is_wanted({"LCR_GPU": "1"})
    machine("GPU 0: NVIDIA H200 (UUID: GPU-1f0c4a6e)")
    assert not gpu.is_wanted({"LCR_GPU": "0"})
    assert gpu.is_wanted({"LCR_GPU": ""})  # how make exports a variable that is not set


@pytest.mark.parametrize("value", ["yes", "2", " 1", "true"])
def test_another_value_is_refused(machine, value):
    with pytest.raises(SetupError, match=rf"`LCR_GPU` should be 1, .* or 0, .*\. Received: '{value}'\."):
        gpu.is_wanted({"LCR_GPU": value})


@pytest.mark.parametrize(
    ("stamp", "variable", "again"),
    [
        ('{"lock": "a"}', None, False),
        ('{"lock": "a"}', "0", False),
        ('{"lock": "a"}', "1", True),
        ('{"lock": "a"}', "perhaps", True),
        ('{"lock": "a", "gpu": "b"}', None, False),
        ('{"lock": "a", "gpu": "b"}', "1", False),
        ('{"lock": "a", "gpu": "b"}', "0", True),
    ],
)
def test_make_sets_up_again_where_the_choice_is_another(tmp_path, stamp, variable, again):
    for name in ("requirements", "scripts", ".venv"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", "scripts/any-python"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".venv" / ".stamp").write_text(stamp)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "LCR_"))}
    reply = subprocess.run(
        ["make", "-f", ROOT / "Makefile", "--dry-run", "setup"], cwd=tmp_path, capture_output=True, text=True,
        env={**environment, **({"LCR_GPU": variable} if variable else {})}, check=True,
    )  # fmt: skip
    assert ("scripts.setup" in reply.stdout) == again, reply.stdout


def test_the_scripts_of_the_image_are_all_copied_into_it():
    recipe = (ROOT / "Dockerfile").read_text()
    code = "import scripts.image, sys; print(*(name for name in sys.modules if name.startswith('scripts.')))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in loaded.stdout.split():
        assert f"{name.replace('.', '/')}.py" in recipe
