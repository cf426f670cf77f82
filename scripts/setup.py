"""Makes `.venv`: `python3 -m scripts.setup` (or `make setup`), without root, from nothing or after an interruption.

1. choose a Python (see `interpreters.py`) and check what the machine must have,
2. install uv, pinned, into `.venv-bootstrap`,
3. install the lock with hashes and bytecode, and that of a GPU where there is one (see `gpu.py`),
4. install this project, alone: its `tfx` script must be written after upstream's, and no installer keeps an order
   inside one command.

`.venv/.stamp` is written last. A `.venv` that was being filled when set-up was interrupted is thrown away, because a
package of which half the files exist counts as installed.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import subprocess
import sys

from scripts import gpu, interpreters, mirror, requisites
from scripts.errors import SetupError
from scripts.interpreters import Interpreter
from scripts.stages import Stages

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("model", "components", "tfx_pipeline", "serving", "synthetic_logs")
_WITH_CUDA = {"a": 6, "b": 7}


class Setup:
    """The paths of one checkout and the steps that fill them."""

    def __init__(self, root: str, python: Interpreter, stages: Stages, venv: str | None = None) -> None:
        self.root, self.python, self.stages = root, python, stages
        self.bootstrap = os.path.join(root, ".venv-bootstrap")
        self.venv = venv or os.path.join(root, ".venv")
        self.stamp = os.path.join(self.venv, ".stamp")
        self.unfinished = os.path.join(self.venv, ".unfinished")
        self.tools = os.path.join(root, "requirements", "bootstrap.txt")
        self.lock = os.path.join(root, "requirements", f"line-{python.line}.txt")
        self.gpu_lock: str | None = None
        self.uv_settings: dict[str, str] = {}

    def add_gpu(self) -> None:
        """Install NVIDIA's libraries too, of this line's TensorFlow."""
        self.gpu_lock = os.path.join(self.root, "requirements", f"gpu-{self.python.line}.txt")

    def wanted(self) -> dict[str, str]:
        """What the stamp of a finished environment says."""
        stamp = {"root": self.root, "python": self.python.path, "lock": _digest(self.lock)}
        return {**stamp, "gpu": _digest(self.gpu_lock)} if self.gpu_lock else stamp

    def has_packages(self) -> bool:
        """Whether the environment was finished with this lock and this Python."""
        return self._stamped() == self.wanted() and not os.path.exists(self.unfinished)

    def needed_gib(self) -> float:
        """What has to be free on the disk: little, where an environment is there and only changes."""
        new = 0.0 if os.path.exists(self.venv) else requisites.NEEDED_GIB
        more = requisites.GPU_GIB if self.gpu_lock and "gpu" not in self._stamped() else 0.0
        return new + more

    def packages_title(self) -> str:
        """The name of the stage that installs packages, with what they take."""
        return (
            f"packages with CUDA (about {_WITH_CUDA[self.python.line]} GB)"
            if self.gpu_lock
            else "packages (about 3 GB)"
        )

    def install_tools(self) -> None:
        """uv, through pip, which knows the machine's mirror; then the same mirror for uv."""
        pip = os.path.join(self.bootstrap, "bin", "python")
        stamp = os.path.join(self.bootstrap, ".stamp")
        if not os.path.exists(stamp) or _text(stamp) != self.root + _digest(self.tools):
            self.stages.run([self.python.path, "-m", "venv", "--clear", self.bootstrap], "venv failed")
            self.stages.run(
                [pip, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", self.tools],
                "pip cannot get uv: check the network and pip's configuration (pip config list)",
            )
            with open(stamp, "w", encoding="utf-8") as file:
                file.write(self.root + _digest(self.tools))
        listing = subprocess.run([pip, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        self.uv_settings = mirror.uv_environment(mirror.pip_settings(listing.stdout), os.environ)

    def uv(self, *arguments: str, hint: str) -> None:
        """Run uv with pip's mirror, and with bytecode: without it the imports take three times as long."""
        extra = {"UV_COMPILE_BYTECODE": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", **self.uv_settings}
        self.stages.run([os.path.join(self.bootstrap, "bin", "uv"), *arguments], hint, extra)

    def install_packages(self) -> None:
        """The lock, into the environment that is there if it can be trusted, else into a new one."""
        if not self._reusable():
            self.uv("venv", "--quiet", "--clear", "--python", self.python.path, self.venv, hint="cannot make .venv")
        with open(self.unfinished, "w", encoding="utf-8"):
            pass
        self.uv(
            "pip",
            "sync",
            "--python",
            self.venv,
            "--require-hashes",
            "--build-constraints",
            self.tools,
            self.lock,
            *([self.gpu_lock] if self.gpu_lock else []),
            hint=f"cannot install {os.path.relpath(self.lock, self.root)}",
        )
        if self.gpu_lock:
            for folder in glob.glob(os.path.join(self.venv, "lib", "python*", "site-packages")):
                gpu.link_overlooked(folder)
        os.remove(self.unfinished)

    def install_distribution(self) -> None:
        """Our own distribution, editable, after everything else; the build uses the locked setuptools."""
        self.uv(
            "pip", "install", "--python", self.venv, "--no-deps", "--no-index", "--no-build-isolation",
            "--reinstall-package", "lcr-ser", "--editable", self.root,
            hint=f"cannot install this project into {self.venv}",
        )  # fmt: skip

    def install_project(self) -> None:
        """Our own distribution, and bytecode of its packages."""
        self.install_distribution()
        folders = [os.path.join(self.root, name) for name in PACKAGES]
        python = os.path.join(self.venv, "bin", "python")
        self.stages.run([python, "-m", "compileall", "-q", "-j", "0", *folders], "our packages do not compile")

    def verify(self) -> None:
        """The `tfx` command must be ours, and importable."""
        if "tfx_pipeline.cli" not in _text(os.path.join(self.venv, "bin", "tfx")):
            raise SetupError(".venv/bin/tfx is not this project's. Remove .venv and run make setup again.")
        python = os.path.join(self.venv, "bin", "python")
        self.stages.run([python, "-c", "import tfx_pipeline.cli"], "the tfx command cannot be imported")

    def finish(self) -> None:
        """Write the stamp, last."""
        with open(self.stamp, "w", encoding="utf-8") as stamp:
            json.dump(self.wanted(), stamp)

    def _stamped(self) -> dict[str, str]:
        try:
            stamp = json.loads(_text(self.stamp))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _reusable(self) -> bool:
        """Not half-filled, made by the same Python, and not copied from another place (scripts hold their path)."""
        found = interpreters.probe(os.path.join(self.venv, "bin", "python"))
        same_python = found is not None and found.version == self.python.version
        moved = self._stamped().get("root", self.root) != self.root
        return same_python and not moved and not os.path.exists(self.unfinished)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _digest(path: str) -> str:
    return hashlib.sha256(_text(path).encode()).hexdigest()


def main(root: str = ROOT) -> None:
    """Set up the checkout at `root`."""
    python = interpreters.choose(interpreters.glibc_version(), os.environ.get("LCR_PYTHON"))
    setup = Setup(root, python, Stages(os.path.join(root, "build", "setup.log")))
    if gpu.is_wanted(os.environ):
        setup.add_gpu()
    fresh = not setup.has_packages()
    if fresh:
        requisites.check_packages(python)
        requisites.check_disk(root, setup.needed_gib())
    version = ".".join(map(str, python.version))
    with setup.stages.stage(f"line {python.line.upper()}, Python {version}, installer"):
        setup.install_tools()
    if fresh:
        with setup.stages.stage(setup.packages_title()):
            setup.install_packages()
    with setup.stages.stage("this project"):
        setup.install_project()
        setup.verify()
    setup.finish()


if __name__ == "__main__":
    try:
        main()
    except (SetupError, OSError) as error:
        sys.exit(f"setup: {error}")
