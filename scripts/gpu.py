"""Whether set-up installs NVIDIA's libraries: where a card is found, or where `LCR_GPU` says so."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from scripts.errors import SetupError

VARIABLE = "LCR_GPU"


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
