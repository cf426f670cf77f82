"""What the Dockerfile runs to fill the image: `python3 -m scripts.image packages`, then `... project`.

Two steps, so that a change of the code installs no package anew: the lock alone, then this project. The lock has tools
of development too, and lock and hashes hold for all of it: it is installed whole, and what nothing needs at run time is
taken out again.
"""

from __future__ import annotations

import os
import subprocess
import sys

from scripts import interpreters
from scripts.errors import SetupError
from scripts.setup import ROOT, Setup
from scripts.stages import Stages

VENV = "/opt/venv"
_UNNEEDED = """
from tfx_pipeline.kubeflow import health, packages
print(*sorted(packages.installed().keys() - packages.needed(packages.PROJECT, health.EXTRAS)))
"""


def packages(line: str) -> None:
    """Install the lock of a line into `VENV`."""
    setup = _setup()
    if setup.python.line != line:
        version = ".".join(map(str, setup.python.version))
        raise SetupError(
            f"LINE={line} does not fit the base, whose Python is {version}. Line a is Python 3.10, line b 3.11 to 3.13:"
            " build with another LINE or BASE."
        )
    setup.install_tools()
    setup.install_packages()


def project() -> None:
    """Install this project into `VENV`, and take out what nothing needs."""
    setup = _setup()
    setup.install_tools()
    setup.install_project()
    setup.verify()
    command = [os.path.join(VENV, "bin", "python"), "-c", _UNNEEDED]
    listing = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    setup.uv("pip", "uninstall", "--python", VENV, *listing.split(), hint="cannot take packages out")


def _setup() -> Setup:
    python = interpreters.choose(interpreters.glibc_version(), "python3")
    return Setup(ROOT, python, Stages("/tmp/setup/log"), VENV)  # noqa: S108 (inside a build, alone)


def main(step: str, *arguments: str) -> None:
    """Run a step."""
    if step == "packages":
        packages(*arguments)
    else:
        project()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"image: {error}")
