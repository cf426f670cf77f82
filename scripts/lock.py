"""Writes the lock files: `python3 -m scripts.lock` (or `make lock`; `make lock UPGRADE=1` moves the versions).

Line B is one file for three Pythons. uv's universal resolution fails on it (tensorflow-recommenders drags
tensorflow-macos in), so each Python is resolved alone and the results are merged: what differs gets a marker.

What the locked TensorFlow wants besides on a GPU is a lock of its own, for the image's GPU variant.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from scripts import mirror
from scripts.interpreters import LINE_A_PYTHON, LINE_B_PYTHONS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_BIN = os.path.join(ROOT, ".venv-bootstrap", "bin")
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==", re.MULTILINE)

Resolution = Mapping[str, str]
"""Package name -> its lines: `name==version`, then the hashes."""


def parse(lock: str) -> Resolution:
    """Split a lock file without comments into its packages."""
    starts = [match.start() for match in _PIN.finditer(lock)]
    blocks = [lock[start:end].rstrip() for start, end in zip(starts, [*starts[1:], len(lock)], strict=True)]
    return {block.split("==", 1)[0]: block for block in blocks}


def merge(resolutions: Mapping[str, Resolution]) -> str:
    """One lock for several Pythons (`3.11` -> its resolution); equal pins are written once."""
    blocks: list[str] = []
    for name in sorted({name for resolution in resolutions.values() for name in resolution}):
        pythons_of: dict[str, list[str]] = {}
        for python, resolution in resolutions.items():
            if name in resolution:
                pythons_of.setdefault(resolution[name], []).append(python)
        for block, pythons in pythons_of.items():
            blocks.append(block if len(pythons) == len(resolutions) else _marked(block, pythons))
    return "\n".join(blocks) + "\n"


def _marked(block: str, pythons: Sequence[str]) -> str:
    marker = " or ".join(f"python_version == '{python}'" for python in pythons)
    requirement, separator, hashes = block.partition(" \\\n")
    return f"{requirement} ; {marker}{separator}{hashes}"


def compile_lock(python: str, platform: str, present: str, upgrade: bool, source: Sequence[str]) -> str:
    """Resolve for one Python; the versions of `present` are kept where they still fit.

    Args:
        python: its version.
        platform: the oldest one, such as `manylinux_2_28`.
        present: the lock so far.
        upgrade: whether versions may move all the same.
        source: of requirements, as arguments of uv.
    """
    listing = subprocess.run(
        [os.path.join(_BIN, "python"), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    # The main index alone: an extra one that holds some of a version's wheels would leave the other hashes out.
    settings = {key: value for key, value in mirror.pip_settings(listing).items() if key not in mirror.EXTRA_SOURCES}
    environment = {**os.environ, **mirror.uv_environment(settings, os.environ)}
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "lock.txt")
        with open(output, "w", encoding="utf-8") as file:
            file.write(present)
        command = [
            os.path.join(_BIN, "uv"), "pip", "compile", "--quiet", *source, "--python-version", python,
            "--python-platform", f"x86_64-{platform}", "--generate-hashes", "--no-emit-index-url", "--no-header",
            "--no-annotate", "--output-file", output,
        ]  # fmt: skip
        subprocess.run([*command, *(["--upgrade"] if upgrade else [])], env=environment, check=True)
        with open(output, encoding="utf-8") as file:
            return file.read()


def compile_gpu_lock(python: str, platform: str, lock: Resolution, present: str, upgrade: bool) -> Resolution:
    """What the locked TensorFlow needs on a GPU and `lock` has not; nothing of `lock` moves."""
    pins = [block.splitlines()[0].rstrip(" \\") for block in lock.values()]
    version = lock["tensorflow"].splitlines()[0].rstrip(" \\").partition("==")[2]
    with tempfile.TemporaryDirectory() as folder:
        wanted, fixed = os.path.join(folder, "wanted.txt"), os.path.join(folder, "fixed.txt")
        _write(wanted, f"tensorflow[and-cuda]=={version}\n")
        _write(fixed, "\n".join(pins) + "\n")
        found = parse(compile_lock(python, platform, present, upgrade, [wanted, "--constraints", fixed]))
    return {name: block for name, block in found.items() if name not in lock}


def main(upgrade: bool) -> None:
    """Write `requirements/line-a.txt`, `requirements/line-b.txt`, and the two for a GPU."""
    lines = {
        "a": (["{}.{}".format(*LINE_A_PYTHON)], "manylinux_2_28"),
        "b": (["{}.{}".format(*version) for version in sorted(LINE_B_PYTHONS)], "manylinux_2_39"),
    }
    project = [os.path.join(ROOT, "pyproject.toml"), "--extra", "dev"]
    for line, (pythons, platform) in lines.items():
        path, gpu_path = (os.path.join(ROOT, "requirements", f"{name}-{line}.txt") for name in ("line", "gpu"))
        present, gpu_present = _read(path), _read(gpu_path)
        locks = {python: parse(compile_lock(python, platform, present, upgrade, project)) for python in pythons}
        _write(path, merge(locks))
        _write(gpu_path, merge({
            python: compile_gpu_lock(python, platform, lock, gpu_present, upgrade) for python, lock in locks.items()
        }))  # fmt: skip


def _read(path: str) -> str:
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(upgrade="--upgrade" in sys.argv[1:])
