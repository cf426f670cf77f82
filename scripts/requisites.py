"""What a machine must have before anything is installed; each lack is one line with its remedy."""

from __future__ import annotations

import os
import shutil
import subprocess

from scripts.errors import SetupError
from scripts.interpreters import Interpreter

NEEDED_GIB = 5.0
"""The environment (3.3 GiB), uv's cache beside it when it lies on the same disk, and some air."""


def check_venv_module(python: Interpreter) -> None:
    """Debian and Ubuntu split `ensurepip` off into a package of its own."""
    code = subprocess.run([python.path, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode
    if code:
        package = f"python{python.version[0]}.{python.version[1]}-venv"
        raise SetupError(f"{python.path} has no working venv module. Install it (apt install {package}).")


def check_compiler(python: Interpreter) -> None:
    """pyfarmhash, a dependency of TFDV, comes as C++ source only."""
    compiler = os.environ.get("CXX", "").split(" ")[0]
    if not any(shutil.which(name) for name in (compiler, "g++", "c++", "clang++") if name):
        raise SetupError("No C++ compiler found; pyfarmhash is built from source. Install one (apt install gcc g++).")
    header = os.path.join(python.include, "Python.h")
    if not os.path.exists(header):
        package = f"python{python.version[0]}.{python.version[1]}-dev"
        raise SetupError(f"{header} is missing; pyfarmhash is built from source. Install it (apt install {package}).")


def check_disk(folder: str, needed_gib: float = NEEDED_GIB) -> None:
    """The environment is large; running out half-way leaves a puzzling error."""
    free = shutil.disk_usage(folder).free / 2**30
    if free < needed_gib:
        raise SetupError(f"{free:.1f} GiB are free at {folder}, {needed_gib:.0f} are needed. Free some space.")
