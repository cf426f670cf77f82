"""The images that the Dockerfile starts from: official ones where a registry is reached, else made on this machine.

Line b needs Debian's own Python alone. For line a, whose Python no current Debian has, the one that set-up would choose
is laid into a tree of this machine's own Debian.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from scripts import interpreters
from scripts.debian import DebianRoot, check_machine, read_text
from scripts.docker_engine import Docker
from scripts.errors import SetupError

OFFICIAL = {"a": "python:3.10.19-slim-bookworm", "b": "python:3.13.9-slim-trixie"}
OFFICIAL_GO = "golang:1.26.0-trixie"
_TREE_GIB = 1.5
_SUITE_B = "trixie"
_OF_PYTHON = "bin/python3* include/python3.10 lib/libpython3* lib/python3.10"
_LEFT_OUT = ("__pycache__", "lib/python3.10/site-packages/*", "lib/python3.10/test", "lib/python3.10/config-3.10-*")
_NOT_IMPORTED = ("./etc/apt/sources.list", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")


class Base(NamedTuple):
    """An image to start from, and the file of apt's sources that it lacks, if it is one of ours."""

    image: str
    sources: str | None


def base(docker: Docker, line: str, folder: str) -> Base:
    """An image with the Python of a line, which the engine has afterwards."""
    if _has(docker, OFFICIAL[line]):
        return Base(OFFICIAL[line], None)
    return _line_b(docker, folder) if line == "b" else _line_a(docker, folder)


def go_base(docker: Docker, base_image: str) -> str:
    """The name of an image with Go, which compiles Beam's start program."""
    if _has(docker, OFFICIAL_GO):
        return OFFICIAL_GO
    try:
        root, version = _output("go", "env", "GOROOT", "GOVERSION").split()
    except OSError:
        raise SetupError(
            f"{OFFICIAL_GO} cannot be pulled here, and there is no Go on the PATH to make one of. Install Go 1.26 or"
            " newer, or name an image that has it (GO_BASE=...)."
        ) from None
    name = f"lcr-ser-go:{version}"
    if not docker.succeeds("image", "inspect", name):
        recipe = f"FROM {base_image}\nCOPY . {root}\nENV PATH={root}/bin:/usr/bin:/bin\n"
        docker.run("build", "--quiet", "--tag", name, "--file", "-", root, input=recipe)
    return name


def _line_b(docker: Docker, folder: str) -> Base:
    tree = _Tree(docker, f"lcr-ser-base:{_SUITE_B}", os.path.join(folder, "debian-b"))
    if not tree.is_imported():
        tree.make(_SUITE_B, ("ca-certificates", "python3", "python3-venv"))
        tree.import_()
    return tree.base


def _line_a(docker: Docker, folder: str) -> Base:
    python = interpreters.find(interpreters.LINE_A_PYTHON)
    suite = debian_suite(read_text("/etc/os-release"))
    if python is None or suite is None:
        raise SetupError(
            f"{OFFICIAL['a']} cannot be pulled here, and a base for line a can be made on a Debian with a Python 3.10"
            " alone. Name an image that has it (BASE=...), or build line b (LINE=b)."
        )
    tree = _Tree(docker, f"lcr-ser-base:{suite}-python3.10", os.path.join(folder, "debian-a"))
    if not tree.is_imported():
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(python.path)))
        place = tree.make(suite, ("ca-certificates", *libraries(prefix)))
        left_out = " ".join(f"--exclude='{pattern}'" for pattern in _LEFT_OUT)
        copy = f'cd "$0" && tar -c {left_out} {_OF_PYTHON} | tar -C "$1/usr/local" -x'
        subprocess.run(["/bin/sh", "-c", copy, prefix, place], check=True)
        subprocess.run(["chroot", place, "/sbin/ldconfig"], check=True)
        tree.import_()
    return tree.base


class _Tree:
    """A tree of Debian that becomes an image, without the name of the mirror that it came from."""

    def __init__(self, docker: Docker, image: str, folder: str) -> None:
        self.docker, self.folder = docker, folder
        self.base = Base(image, os.path.join(folder, "sources.list"))

    def is_imported(self) -> bool:
        """Whether the engine has the image, and the mirror's name is still known."""
        return self.docker.succeeds("image", "inspect", self.base.image) and os.path.exists(str(self.base.sources))

    def make(self, suite: str, packages: tuple[str, ...]) -> str:
        """Make the tree; its place."""
        check_machine("test-containers")
        root = DebianRoot(self.folder, suite, packages, _TREE_GIB)
        root.make()
        return root.tree

    def import_(self) -> None:
        """Make the image; the build is told the mirror as a secret."""
        tree = os.path.join(self.folder, "root")
        shutil.copyfile(os.path.join(tree, "etc/apt/sources.list"), str(self.base.sources))
        left_out = [f"--exclude={pattern}" for pattern in _NOT_IMPORTED]
        command = ["tar", "-C", tree, *left_out, "-c", "."]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as packer:
            self.docker.run("import", "-", self.base.image, stdin=packer.stdout, stdout=subprocess.DEVNULL)
        if packer.returncode:
            raise subprocess.CalledProcessError(packer.returncode, command)


def debian_suite(os_release: str) -> str | None:
    """The name of the Debian that a file like /etc/os-release tells of; None for another system."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return fields.get("VERSION_CODENAME") if fields.get("ID") == "debian" else None


def libraries(prefix: str) -> list[str]:
    """The packages of this Debian whose libraries the Python 3.10 below `prefix` loads."""
    extensions = os.path.join(prefix, "lib", "python3.10", "lib-dynload")
    files = [os.path.join(extensions, name) for name in os.listdir(extensions) if name.endswith(".so")]
    needed = _output("ldd", os.path.join(prefix, "bin", "python3.10"), *files)
    paths = {line.split()[2] for line in needed.splitlines() if "=> /" in line}
    return owners(path for path in paths if not path.startswith(prefix))


def owners(paths: Iterable[str]) -> list[str]:
    """The packages that hold these files; /lib is a link to /usr/lib, and dpkg knows a file by one of both names."""
    names = [name for path in sorted(paths) for name in (path, "/usr" + path, path.removeprefix("/usr"))]
    process = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False)
    return sorted({line.split(":")[0] for line in process.stdout.splitlines()})


def _has(docker: Docker, image: str) -> bool:
    return docker.succeeds("image", "inspect", image) or docker.succeeds("pull", "--quiet", image)


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
