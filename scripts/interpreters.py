"""Which Python the environment is made with.

TFX exists in two supported lines: A (Python 3.10, any current Linux) and B (Python 3.11 to 3.13, glibc 2.39 or
newer, because the wheels of ml-metadata and TFDV ask for it). The newer line is taken where the machine can run it.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
from dataclasses import dataclass

from scripts.errors import SetupError, apt_install

LINE_B_GLIBC = (2, 39)
LINE_A_PYTHON = (3, 10)
LINE_B_PYTHONS = ((3, 13), (3, 12), (3, 11))
_PROBE = """
import json, os, sys, sysconfig
version = list(sys.version_info[:2])
path = sys.executable
if sys.prefix != sys.base_prefix:  # a virtual environment may be deleted: take the Python that it was made with
    path = os.path.join(sys.base_prefix, "bin", "python%d.%d" % tuple(version))
print(json.dumps([path, version, sysconfig.get_paths()["include"]]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was started once and answered."""

    path: str
    version: tuple[int, int]
    include: str

    @property
    def line(self) -> str:
        """The lock that fits: `a` or `b`."""
        return "a" if self.version == LINE_A_PYTHON else "b"


def probe(command: str) -> Interpreter | None:
    """Start `command`; None if it does not run (a pyenv shim without a selected version, say)."""
    try:
        reply = subprocess.run([command, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
        path, version, include = json.loads(reply.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return Interpreter(path, (version[0], version[1]), include)


def glibc_version() -> tuple[int, int] | None:
    """glibc's version, None on another C library or another system."""
    name, version = platform.libc_ver()
    parts = version.split(".")
    if name != "glibc" or len(parts) < 2:
        return None
    return int(parts[0]), int(parts[1])


def commands_of(version: tuple[int, int]) -> list[str]:
    """Where a Python of this version may be found, best first: PATH, pyenv, uv's own collection."""
    name = f"python{version[0]}.{version[1]}"
    home = os.path.expanduser("~")
    roots = [os.environ.get("PYENV_ROOT", ""), _pyenv_root(), os.path.join(home, ".pyenv")]
    patterns = [os.path.join(root, "versions", name[6:] + ".*", "bin", "python") for root in roots if root]
    patterns.append(os.path.join(home, ".local/share/uv/python", f"cpython-{name[6:]}*", "bin", name))
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern), reverse=True)]
    return list(dict.fromkeys([name, "python3", *found]))


def choose(glibc: tuple[int, int] | None, wanted: str | None = None) -> Interpreter:
    """The interpreter of the environment; `wanted` (a path or a command) overrides the search."""
    if glibc is None:
        raise SetupError(f"TFX needs Linux with glibc; this is {platform.platform()}. Use such a machine.")
    if platform.machine() != "x86_64":
        raise SetupError(f"TFX has wheels for x86_64 only; this is {platform.machine()}. Use such a machine.")
    if wanted:
        return _checked(wanted, glibc)
    versions = [*LINE_B_PYTHONS, LINE_A_PYTHON] if glibc >= LINE_B_GLIBC else [LINE_A_PYTHON]
    for version in versions:
        interpreter = find(version)
        if interpreter:
            return interpreter
    raise SetupError(_nothing_found(glibc))


def find(version: tuple[int, int]) -> Interpreter | None:
    """The first Python of this version that runs here."""
    found = (probe(command) for command in commands_of(version))
    return next((one for one in found if one and one.version == version), None)


def _checked(wanted: str, glibc: tuple[int, int]) -> Interpreter:
    interpreter = probe(wanted)
    if interpreter is None:
        raise SetupError(f"LCR_PYTHON={wanted} does not run. Give the path of a Python, or unset it.")
    allowed = [LINE_A_PYTHON, *(LINE_B_PYTHONS if glibc >= LINE_B_GLIBC else ())]
    if interpreter.version not in allowed:
        versions = ", ".join(f"{major}.{minor}" for major, minor in allowed)
        raise SetupError(
            f"LCR_PYTHON={wanted} is Python {interpreter.version[0]}.{interpreter.version[1]}; "
            f"with glibc {glibc[0]}.{glibc[1]} TFX runs on {versions}. Give one of these, or unset it."
        )
    return interpreter


def _nothing_found(glibc: tuple[int, int]) -> str:
    if glibc >= LINE_B_GLIBC:
        packages = ("python3", "python3-venv", "python3-dev", "g++")
        return f"No Python 3.10 to 3.13 found. Install one, with what set-up needs besides; {apt_install(packages)}"
    return (
        f"No Python 3.10 found, and newer ones need glibc 2.39 (this is {glibc[0]}.{glibc[1]}). "
        "Install it (pyenv install 3.10, or your distribution's python3.10), or name one: make setup LCR_PYTHON=/path."
    )


def _pyenv_root() -> str:
    try:
        reply = subprocess.run(["pyenv", "root"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return reply.stdout.strip()
