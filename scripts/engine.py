"""Builds Prism, Beam's own portable runner, at the version of the lock: `python -m scripts.engine` (or `make engine`).

The binary is build/engine/prism-VERSION. It differs from Beam's own in one line: the job service listens on the
loopback interface alone. Beam's listens on all of them, and whoever reaches it can run commands on this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from scripts.errors import SetupError, apt_install

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "engine"
MODULE = "github.com/apache/beam/sdks/v2"
_SERVER = Path("go/pkg/beam/runners/prism/internal/jobservices/server.go")
_EVERYWHERE, _LOOPBACK = (
    'net.Listen("tcp", fmt.Sprintf(":%d", port))',
    'net.Listen("tcp", fmt.Sprintf("localhost:%d", port))',
)


def binary(version: str) -> Path:
    """Where Prism of a version of Beam is, once it was built."""
    return FOLDER / f"prism-{version}"


def build(version: str) -> Path:
    """Build Prism of a version of Beam, unless it is there.

    Raises:
        SetupError: without Go, or where the sources cannot be had or built.
    """
    made = binary(version)
    if made.exists():
        return made
    if not shutil.which("go"):
        raise SetupError(f"Prism is built by Go, which is not on the PATH; {apt_install(['golang-go'])}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    module = f"{MODULE}@v{version}"
    # Anywhere but in a module of its own, a module can be asked for by its name.
    found = json.loads(_go("mod", "download", "-json", module, folder=FOLDER, what=f"The sources of {module}"))
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        sources = Path(folder, "beam")
        shutil.copytree(found["Dir"], sources, copy_function=shutil.copyfile)
        os.chmod(sources / _SERVER, 0o644)
        (sources / _SERVER).write_text(on_loopback((sources / _SERVER).read_text()))
        _go("build", "-buildvcs=false", "-trimpath", "-o", "../prism", "./go/cmd/prism", folder=sources, what="Prism")
        os.replace(Path(folder, "prism"), made)
    return made


def on_loopback(server: str) -> str:
    """Bind the job service to the loopback interface.

    Args:
        server: source of Prism's job server.

    Raises:
        SetupError: where it binds in another way than is known.
    """
    if server.count("net.Listen(") != 1 or _EVERYWHERE not in server:
        raise SetupError(f"Prism should listen in one place, by {_EVERYWHERE}. Look at {_SERVER}, and at this script.")
    return server.replace(_EVERYWHERE, _LOOPBACK)


def _go(*arguments: str, folder: Path, what: str) -> str:
    done = subprocess.run(["go", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SetupError(f"{what} could not be had: go {' '.join(arguments)} says: {''.join(last)}")
    return done.stdout


def main() -> None:
    """Build, or end with one line."""
    try:
        print(build(metadata.version("apache-beam")))
    except SetupError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
