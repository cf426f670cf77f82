"""Runs the steps of set-up: one line each on the console, everything else in a log file."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from scripts.errors import SetupError

_TAIL_LINES = 25


class Stages:
    """Times stages, runs their commands into the log, and shows its end when one fails."""

    def __init__(self, log_path: str) -> None:
        os.makedirs(os.path.dirname(log_path), exist_ok=True)
        self.log_path = log_path
        with open(log_path, "w", encoding="utf-8"):
            pass  # an old log would confuse

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Print the title, and the time when the block has ended."""
        start = time.monotonic()
        print(f"setup: {title} ...", end=" ", flush=True)
        try:
            yield
        except BaseException:
            print("failed", flush=True)
            raise
        print(f"{time.monotonic() - start:.0f} s", flush=True)

    def run(self, command: Sequence[str], hint: str, extra: Mapping[str, str] | None = None) -> None:
        """Run a command; if it fails, show the end of the log and raise with `hint`."""
        with open(self.log_path, "a", encoding="utf-8") as log:
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            code = subprocess.run(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(extra or {})}, check=False
            ).returncode
        if code:
            print(f"\n{self.tail()}", flush=True)
            raise SetupError(f"{hint} (exit status {code}; the whole log: {self.log_path})")

    def tail(self) -> str:
        """The last lines of the log."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "".join(deque(log, maxlen=_TAIL_LINES)).rstrip()
