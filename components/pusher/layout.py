"""The directory of versions: which are served, which were withdrawn, and who may change that.

Model servers and our own readers look at names that are numbers alone, so everything else lies beside them under names
that are none:

    SERVING_DIR/1764036000/    a version; the highest number is served
    SERVING_DIR/withdrawn/N/   a version that a rollback took away
    SERVING_DIR/.push/         locks, and what a push or a deletion has not finished
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

WITHDRAWN = "withdrawn"
_NUMBER = re.compile(r"[0-9]+")


def live_versions(serving_dir: Path) -> dict[int, Path]:
    """The complete versions that servers see, by number; the highest one is served."""
    found = _numbered(serving_dir)
    return {version: path for version, path in sorted(found.items()) if (path / "saved_model.pb").exists()}


def withdrawn_versions(serving_dir: Path) -> dict[int, Path]:
    """The versions that a rollback took away, by number."""
    return dict(sorted(_numbered(serving_dir / WITHDRAWN).items()))


def numbers(names: Iterable[str]) -> list[int]:
    """Those of the names that are version numbers."""
    return [int(name) for name in names if _NUMBER.fullmatch(name)]


def next_version(taken: Iterable[int], now: float) -> int:
    """The number of a new version: the time in seconds, or one above the highest where that is taken already."""
    return max(int(now), max(taken, default=0) + 1)


def staging_dir(serving_dir: Path) -> Path:
    """Where a push builds a version, on the same file system; what lies there without a push is left over."""
    return serving_dir / ".push" / "staging"


@contextlib.contextmanager
def locked(serving_dir: Path, what: str) -> Iterator[None]:
    """Wait until nobody else does the same in this directory.

    The kernel frees the lock of a process that dies, so that nothing of a killed push has to be cleared away by hand.

    Args:
        serving_dir: directory of versions.
        what: `push`, for as long as a push takes; or `versions`, for the moment of moving versions.
    """
    path = serving_dir / ".push" / f"{what}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync(directory: Path) -> None:
    """Make the names in a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _numbered(directory: Path) -> dict[int, Path]:
    names = os.listdir(directory) if directory.is_dir() else []
    return {int(name): directory / name for name in names if _NUMBER.fullmatch(name)}
