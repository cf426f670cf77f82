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
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.common.versions import complete_versions, numbered

WITHDRAWN = "withdrawn"


def live_versions(serving_dir: Path) -> dict[int, Path]:
    """The complete versions that servers see, by number; the highest one is served."""
    return {version: Path(path) for version, path in complete_versions(str(serving_dir)).items()}


def withdrawn_versions(serving_dir: Path) -> dict[int, Path]:
    """The versions that a rollback took away, by number."""
    return {version: Path(path) for version, path in numbered(str(serving_dir / WITHDRAWN)).items()}


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
