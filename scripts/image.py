"""What the Dockerfile runs to fill the image: `python3 -m scripts.image packages LINE VARIANT`, then `... project`.

Two steps, so that a change of the code installs no package anew. The lock has tools of development too, and its hashes
hold for all of it: it is installed whole, and what nothing needs at run time is taken out before the rest is compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from scripts import interpreters
from scripts.errors import SetupError
from scripts.setup import ROOT, Setup
from scripts.stages import Stages

VENV = "/opt/venv"
_PYTHON = os.path.join(VENV, "bin", "python")
_UNNEEDED = "from tfx_pipeline.environment import packages; print(*packages.unneeded({variant!r}))"
_NEVER_IMPORTED = "/google/cloud/aiplatform"
"""A quarter of all source, which TFX wants installed and no step imports."""
_IN_A_LAYER = {
    "UV_NO_CACHE": "1",  # a cache would lie on another file system, and each file be copied from there
    "UV_COMPILE_BYTECODE": "0",
}


def packages(line: str, variant: str) -> None:
    """Install the lock of a line into `VENV`, and that of a GPU for the variant `gpu`."""
    setup = _setup()
    if setup.python.line != line:
        version = ".".join(map(str, setup.python.version))
        raise SetupError(
            f"LINE={line} does not fit the base, whose Python is {version}. Line a is Python 3.10, line b 3.11 to 3.13:"
            " build with another LINE or BASE."
        )
    if variant == "gpu":
        setup.add_gpu()
    setup.install_tools()
    setup.uv_settings.update(_IN_A_LAYER)
    setup.install_packages()
    setup.install_distribution()
    listing = subprocess.run(
        [_PYTHON, "-c", _UNNEEDED.format(variant=variant)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    setup.uv("pip", "uninstall", "--python", VENV, *listing.split(), hint="cannot take packages out")
    # Some packages have files for another Python, which do not compile: the status says nothing.
    compiling = [_PYTHON, "-m", "compileall", "-qq", "-j", "0", "-x", _NEVER_IMPORTED, os.path.join(VENV, "lib")]
    subprocess.run(compiling, check=False)


def project() -> None:
    """Install this project into `VENV`."""
    setup = _setup()
    setup.install_tools()
    setup.uv_settings.update(_IN_A_LAYER)
    setup.install_project()
    setup.verify()


def _setup() -> Setup:
    python = interpreters.choose(interpreters.glibc_version(), "python3")
    return Setup(ROOT, python, Stages("/tmp/setup/log"), VENV)  # noqa: S108 (inside a build, alone)


_STEPS: dict[str, Callable[..., None]] = {"packages": packages, "project": project}

if __name__ == "__main__":
    try:
        _STEPS[sys.argv[1]](*sys.argv[2:])
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"image: {error}")
