"""The line that tells what a run computes on, from what nvidia-smi and TensorFlow say."""

import os

import pytest

from components.trainer import cards
from components.trainer.cards import TensorFlow, device_line

H200 = "NVIDIA H200, 580.82.07, 143771 MiB"
LIBRARIES = ("nvidia-cublas-cu12", "nvidia-cudnn-cu12")
USABLE = TensorFlow(seen=["NVIDIA H200"], cuda="12.3", wanted=LIBRARIES)
BARE = TensorFlow(seen=[], cuda="12.3", wanted=LIBRARIES, missing=LIBRARIES)
NO_DRIVER = """\
NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver \
is installed and running.

"""


@pytest.mark.parametrize(
    ("listing", "tensorflow", "line"),
    [
        (H200 + "\n", USABLE, "NVIDIA H200, 140 GiB, driver 580.82.07"),
        ("Tesla T4, 535.183.01, 15360 MiB\n", USABLE, "Tesla T4, 15 GiB, driver 535.183.01"),
        ("NVIDIA GB10, 580.95.05, [N/A]\n", USABLE, "NVIDIA GB10, driver 580.95.05"),
        (
            f"{H200}\n{H200}\n",
            TensorFlow(seen=["NVIDIA H200"] * 2, cuda="12.3"),
            "2 x NVIDIA H200, 140 GiB, driver 580.82.07",
        ),
        (
            "Tesla T4, 535.183.01, 15360 MiB\nTesla P4, 535.183.01, 7680 MiB\n",
            TensorFlow(seen=["Tesla T4"], cuda="12.3"),
            "1 of 2 cards: Tesla T4, 15 GiB, driver 535.183.01; Tesla P4, 8 GiB, driver 535.183.01",
        ),
        (None, USABLE, "NVIDIA H200"),
        (None, BARE, "CPU, 2 cores"),
        ("", BARE, "CPU, 2 cores"),
        ("No devices were found\n", BARE, "CPU, 2 cores; nvidia-smi says: No devices were found"),
        (NO_DRIVER, BARE, f"CPU, 2 cores; nvidia-smi says: {NO_DRIVER.strip()}"),
        (
            H200,
            BARE,
            "CPU: the card NVIDIA H200 cannot be used, no CUDA libraries are installed; run LCR_GPU=1 make setup",
        ),
        (
            f"{H200}\n{H200}",
            TensorFlow(seen=[], cuda="12.5.1", wanted=LIBRARIES, missing=LIBRARIES[1:]),
            "CPU: the card 2 x NVIDIA H200 cannot be used, nvidia-cudnn-cu12 is not installed; run LCR_GPU=1 make "
            "setup",
        ),
        (
            "Tesla T4, 470.82.01, 15109 MiB\n",
            BARE,
            "CPU: the card Tesla T4 cannot be used, its driver 470.82.01 is too old for CUDA 12; install 525.60.13 or "
            "newer",
        ),
        (
            H200,
            TensorFlow(seen=[], cuda=""),
            "CPU: the card NVIDIA H200 cannot be used, this TensorFlow was built without CUDA; run make setup, which "
            "installs another",
        ),
        (
            H200,
            TensorFlow(seen=[], cuda="12.3", wanted=LIBRARIES),
            "CPU: the card NVIDIA H200 cannot be used, TensorFlow does not find its libraries or gets no answer; "
            "docs/gpu.md tells how to have it say why",
        ),
    ],
)
def test_the_line_names_the_device_or_the_remedy(listing, tensorflow, line):
    assert device_line(listing, tensorflow, cores=2, environment={}) == line


@pytest.mark.parametrize(
    ("driver", "too_old"), [("525.60.13", False), ("525.60.11", True), ("525.105.17", False), ("535.54", False)]
)
def test_drivers_are_compared_by_number(driver, too_old):
    line = device_line(f"Tesla T4, {driver}, 15109 MiB", BARE, 1, {})
    assert ("too old" in line) == too_old


def test_one_core_is_one():
    assert device_line(None, BARE, 1, {}) == "CPU, 1 core"


def test_a_hidden_card_is_told():
    line = device_line(H200, BARE, 2, {"CUDA_VISIBLE_DEVICES": "-1"})
    assert line == "CPU: the card NVIDIA H200 cannot be used, CUDA_VISIBLE_DEVICES=-1 hides it; unset that"


def test_this_tensorflow_names_its_libraries():
    """With those of this environment; every one has a version in the lock of a GPU."""
    found = cards._installed()
    assert found.cuda.startswith("12.")
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cuda-nvcc-cu12"} <= set(found.wanted)
    assert len(found.wanted) == 12


def test_a_command_that_hangs_or_fails_is_told(monkeypatch, tmp_path):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho \"$@\"\necho 'No devices were found' >&2\nexit 6\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert cards._listing() == (
        "--query-gpu=name,driver_version,memory.total --format=csv,noheader\nNo devices were found\n"
    )
    command.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(cards, "_SMI_SECONDS", 0.05)
    assert "timed out" in cards._listing()
    monkeypatch.setenv("PATH", "")
    assert cards._listing() is None
