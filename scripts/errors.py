"""The one error that set-up reports to its user, and the remedy that it names most."""

from __future__ import annotations

import os
from collections.abc import Iterable


class SetupError(Exception):
    """Set-up cannot go on; the message is one line that says what is wrong and what to do."""


def apt_install(packages: Iterable[str]) -> str:
    """The end of a message: the command to paste where packages have these names."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"on Debian and Ubuntu: {sudo}apt-get update && {sudo}apt-get install --yes {' '.join(packages)}"
