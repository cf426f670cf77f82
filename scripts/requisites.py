"""What a machine must have before anything is installed; all that it lacks is told at once, with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from scripts.errors import SetupError, apt_install
from scripts.interpreters import Interpreter

NEEDED_GIB = 5.0
"""The environment (3.3 GiB), uv's cache beside it when it lies on the same disk, and some air."""
GPU_GIB = 5.0
"""NVIDIA's libraries (2.8 GiB on line A, 4.2 on line B), and some air."""


@dataclass(frozen=True)
class Lack:
    """Something that is missing, and the package of Debian and Ubuntu that brings it."""

    what: str
    package: str


def lacks(python: Interpreter) -> list[Lack]:
    """Whatever this Python and this machine lack, for pyfarmhash, a dependency of TFDV, comes as C++ source only."""
    found = []
    name = f"python{python.version[0]}.{python.version[1]}"
    if subprocess.run([python.path, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode:
        found.append(Lack(f"{python.path} has no working venv module", f"{name}-venv"))
    compiler = os.environ.get("CXX", "").split(" ")[0]
    if not any(shutil.which(command) for command in (compiler, "g++", "c++", "clang++") if command):
        found.append(Lack("there is no C++ compiler", "g++"))
    header = os.path.join(python.include, "Python.h")
    if not os.path.exists(header):
        found.append(Lack(f"{header} is missing", f"{name}-dev"))
    return found


def check_packages(python: Interpreter) -> None:
    """Refuses a machine on which set-up would fail half-way."""
    found = lacks(python)
    if found:
        what = "; ".join(lack.what for lack in found)
        raise SetupError(f"{what}. Install that; {apt_install(lack.package for lack in found)}")


def check_disk(folder: str, needed_gib: float = NEEDED_GIB) -> None:
    """The environment is large; running out half-way leaves a puzzling error."""
    free = shutil.disk_usage(folder).free / 2**30
    if free < needed_gib:
        raise SetupError(f"{free:.1f} GiB are free at {folder}, {needed_gib:.0f} are needed. Free some space.")
