"""Tries line B where this machine is too old for it: `python3 -m scripts.line_b FOLDER` (or `make test-line-b`).

A Debian 13 root is made in the folder by debootstrap, once; every call copies the checkout into it and runs set-up,
lint, the tests without those of tests/e2e, and the demo run there. What reaches the network on this machine (Debian's
mirror, proxies, pip's configuration, certificates, name servers) is handed on as it is configured here.

Every command runs in a mount namespace of its own, so that /dev, /proc and /sys are unmounted whenever it ends, killed
or not, and the folder may be deleted whenever nothing runs in it.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping

from scripts import mirror
from scripts.debian import DebianRoot, check_machine, new_certificates, own_certificates, read_text, write_text
from scripts.errors import SetupError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITE = "trixie"
PACKAGES = ("ca-certificates", "g++", "git", "make", "python3", "python3-dev", "python3-venv")
NEEDED_GIB = 10.0
"""The root (0.6 GiB), the environment and uv's cache (3.5 GiB together), runs and tests."""

STEPS = {
    "set-up": "make setup",
    "lint": "make lint",
    "unit tests": "make unit",
    "demo run": "make run",
}
_KEPT = (".venv", ".venv-bootstrap", "build")
"""What a call leaves in the root's copy of the checkout for the next one."""

_CHECKOUT = "/lcr-ser"
_BUNDLE = mirror.CERTIFICATES[0]
_PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_PASSED_ON = re.compile(r"(PIP|UV|PYTEST)_\w+|\w+_proxy", re.IGNORECASE)
_NOT_PASSED_ON = re.compile(r"\w*CERT\w*")
_IN_NAMESPACE = """
for part in dev proc sys; do mount --rbind "/$part" "$0/$part" || exit; done
exec chroot "$0" /bin/sh -c "$1"
"""


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of pip, uv, pytest and proxies; none that names a file with certificates."""
    return {
        name: value for name, value in environment.items()
        if _PASSED_ON.fullmatch(name) and not _NOT_PASSED_ON.fullmatch(name)
    }  # fmt: skip


def copy_checkout(source: str, target: str) -> None:
    """Copy what git tracks, or would, into a folder; what else lies there goes, but for `_KEPT`."""
    os.makedirs(target, exist_ok=True)
    for name in set(os.listdir(target)) - set(_KEPT):
        path = os.path.join(target, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
    listing = subprocess.run(
        ["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listing.split("\0")):
        path = os.path.join(target, name)
        if os.path.isfile(os.path.join(source, name)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy2(os.path.join(source, name), path)


class DevelopersRoot(DebianRoot):
    """A Debian 13 with what set-up needs, which reaches the network as this machine does."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, SUITE, PACKAGES, NEEDED_GIB)

    def connect(self) -> None:
        """Hands on what reaches the network: name servers, certificates, pip's files."""
        shutil.copyfile("/etc/resolv.conf", os.path.join(self.tree, "etc/resolv.conf"))
        shutil.copyfile("/etc/hosts", os.path.join(self.tree, "etc/hosts"))
        known = read_text(self.tree + _BUNDLE)
        for number, one in enumerate(new_certificates(own_certificates(), known)):
            write_text(os.path.join(self.tree, f"usr/local/share/ca-certificates/handed-on-{number}.crt"), one)
        self.run("update-ca-certificates")
        for name in _PIP_FILES:
            pip = configparser.RawConfigParser()
            if pip.read(os.path.expanduser(name)):
                for section in pip.sections():
                    pip.remove_option(section, "cert")
                path = self.tree + name.replace("~", "/root")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    pip.write(file)

    def run(self, command: str) -> bool:
        """Run a line of shell in the root, with its output on the console; whether it succeeded."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        code = subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-c", _IN_NAMESPACE, self.tree, command],
            env={**passed_on(os.environ), **environment}, check=False,
        ).returncode  # fmt: skip
        return not code


def main(folder: str) -> int:
    """Make the root, run all steps in it and print how each ended; the exit status."""
    check_machine("test-line-b")
    root = DevelopersRoot(os.path.abspath(folder))
    root.make()
    copy_checkout(ROOT, root.tree + _CHECKOUT)
    root.connect()
    lines = []
    for title, command in STEPS.items():
        print(f"--- {title} in Debian 13: {command}", flush=True)
        start = time.monotonic()
        succeeded = root.run(f"cd {_CHECKOUT} && {command}")
        lines.append(f"{title:12} {'passed' if succeeded else 'FAILED'} {time.monotonic() - start:6.0f} s")
        if title == "set-up" and not succeeded:
            break
    print("--- line B in Debian 13", *lines, sep="\n", flush=True)
    return int(len(lines) < len(STEPS) or any("FAILED" in line for line in lines))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"line B: {error}")
