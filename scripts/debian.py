"""A tree of Debian in a folder, made by debootstrap from the mirror that this machine uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from scripts import mirror, requisites
from scripts.errors import SetupError, apt_install

NEEDED_COMMANDS = {"debootstrap": "debootstrap", "unshare": "util-linux", "mount": "mount", "chroot": "coreutils"}
"""Each command, and the package of Debian and Ubuntu that brings it."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)


def lacking(user: int, found: Iterable[str], namespaces: bool, target: str) -> str | None:
    """What this machine lacks to make a tree and run in it, as one line; None if it has everything.

    Args:
        user: who runs this; 0 is root.
        found: those of `NEEDED_COMMANDS` that are there.
        namespaces: whether mounts may be made.
        target: of make, to be called again.
    """
    packages = [package for command, package in NEEDED_COMMANDS.items() if command not in set(found)]
    if user:
        return f"A root of Debian can be made by root only. Call it again as root (sudo make {target})."
    if packages:
        return f"A root of Debian needs {' and '.join(packages)}; {apt_install(packages)}"
    if not namespaces:
        return "This machine allows no mounts (unshare --mount fails), as in most containers. Use another one."
    return None


def check_machine(target: str) -> None:
    """Refuses a machine on which no tree can be made."""
    found = [command for command in NEEDED_COMMANDS if shutil.which(command)]
    may_mount = (
        "unshare" in found
        and not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
    )
    problem = lacking(os.geteuid(), found, may_mount, target)
    if problem:
        raise SetupError(problem)


def debian_mirror(targets: str) -> list[str]:
    """The mirror in a list of apt's sources (`label URI` a line), as debootstrap takes it: nothing is its default."""
    uris = [line.split(" ", 1)[1] for line in targets.splitlines() if line.startswith("Debian ")]
    return uris[:1]


def new_certificates(bundle: str, known: str) -> list[str]:
    """The certificates of a PEM bundle that another does not hold."""
    return [one for one in dict.fromkeys(_CERTIFICATE.findall(bundle)) if one not in known]


def own_certificates() -> str:
    """The bundles of certificates that this machine trusts, one after the other."""
    paths = filter(None, (os.environ.get("SSL_CERT_FILE"), *mirror.CERTIFICATES))
    return "".join(read_text(path) for path in paths if os.path.isfile(path))


class DebianRoot:
    """A Debian in a folder: `root/` is its tree, `made` says with what it was finished."""

    def __init__(self, folder: str, suite: str, packages: Sequence[str], needed_gib: float) -> None:
        self.folder, self.tree = folder, os.path.join(folder, "root")
        self.suite, self.packages, self.needed_gib = suite, packages, needed_gib
        self.made = os.path.join(folder, "made")

    def make(self) -> None:
        """Make the tree, unless a finished one of the same packages is there."""
        wanted = " ".join((self.suite, *self.packages))
        if os.path.exists(self.made) and read_text(self.made) == wanted:
            return
        os.makedirs(self.folder, exist_ok=True)
        if os.listdir(self.folder) and not os.path.exists(self.made):
            raise SetupError(f"{self.folder} holds other things. Name a folder that is empty or not there yet.")
        write_text(self.made, "unfinished")
        if os.path.exists(self.tree):
            shutil.rmtree(self.tree)
        requisites.check_disk(self.folder, self.needed_gib)
        command = ["debootstrap", "--variant=minbase", "--include=" + ",".join(self.packages), self.suite, self.tree]
        subprocess.run(["unshare", "--mount", *command, *debian_mirror(_apt_sources())], check=True)
        write_text(self.made, wanted)


def read_text(path: str) -> str:
    """The text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_text(path: str, text: str) -> None:
    """Make a text the content of a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _apt_sources() -> str:
    if not shutil.which("apt-get"):
        return ""
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
