"""NVIDIA's libraries: whether set-up installs them, which it does where a card is found or `LCR_GPU` says so, and what
it does for TensorFlow to find them.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Mapping

from scripts.errors import SetupError

VARIABLE = "LCR_GPU"
_OVERLOOKED = ("cuda_cupti", "cusolver", "nccl")


def is_wanted(environment: Mapping[str, str]) -> bool:
    """What `LCR_GPU` says, 1 or 0; where it is not set, whether this machine has a card."""
    given = environment.get(VARIABLE, "")
    if given not in ("", "0", "1"):
        raise SetupError(
            f"`{VARIABLE}` should be 1, to install NVIDIA's libraries, or 0, not to; unset it to have them where"
            f" nvidia-smi lists a card. Received: {given!r}."
        )
    return given == "1" if given else has_card()


def has_card() -> bool:
    """Whether `nvidia-smi` is there, runs, and lists a card."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    try:
        listing = subprocess.run([command, "-L"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # it hangs where the driver does
        return False
    return listing.returncode == 0 and any(line.startswith("GPU ") for line in listing.stdout.splitlines())


def link_overlooked(site_packages: str) -> None:
    """Put links to libraries that TensorFlow does not look for into a folder where it looks.

    It opens NVIDIA's libraries by name, and finds the folders of their packages by a list in its own files. There line
    B's 2.21.0 lacks the one of cuSOLVER, without which it uses no card, and line A's 2.16.2 those of NCCL, for several
    cards, and CUPTI, for its profiler.

    Args:
        site_packages: the folder of all packages.
    """
    searched = os.path.join(site_packages, "nvidia", "cuda_runtime", "lib")
    for package in _OVERLOOKED:
        for path in glob.glob(os.path.join(site_packages, "nvidia", package, "lib", "*.so*")):
            link = os.path.join(searched, os.path.basename(path))
            if os.path.lexists(link):
                os.remove(link)
            os.symlink(os.path.relpath(path, searched), link)
