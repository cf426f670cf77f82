"""The versions in a model directory: which exist, and which of them should answer. Reads the disk, holds no state."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_NUMBER = re.compile(r"[0-9]+")
_LARGEST = 2**63 - 1


class Fingerprint(NamedTuple):
    """A version's folder and its files with size and time, to notice a change."""

    path: Path
    files: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Policy:
    """Which versions should answer: those of `specific` if any, else the newest ones.

    Args:
        latest: how many of the newest; None for all.
        specific: numbers of versions.
    """

    latest: int | None = 1
    specific: tuple[int, ...] = ()


def find_versions(model_dir: Path) -> dict[int, Fingerprint]:
    """Find the complete versions: numeric folders that hold a `saved_model.pb`, which a pusher writes last."""
    versions: dict[int, Fingerprint] = {}
    if not model_dir.is_dir():
        return versions
    for path in sorted(model_dir.iterdir()):
        if not _NUMBER.fullmatch(path.name) or int(path.name) > _LARGEST:
            continue
        fingerprint = _fingerprint(path)
        if any(name == "saved_model.pb" for name, _, _ in fingerprint.files):
            versions[int(path.name)] = fingerprint
    return versions


def choose_versions(
    found: Mapping[int, Fingerprint], failed: Mapping[int, Fingerprint], policy: Policy = Policy()
) -> list[int]:
    """The versions that should answer, newest first, of those that did not fail or failed with other files.

    A version that is deleted is rolled back: the newest of the others takes over. None keeps whatever answers now: when
    nothing is left on disk, the loaded version goes on, since no answer would be worse.
    """
    loadable = sorted((v for v, files in found.items() if failed.get(v) != files), reverse=True)
    return [v for v in loadable if v in policy.specific] if policy.specific else loadable[: policy.latest]


def _fingerprint(path: Path) -> Fingerprint:
    files = []
    for file in sorted(path.rglob("*")):
        try:
            stat = file.stat()
        except OSError:  # deleted meanwhile; the next look sees the rest
            continue
        if file.is_file():
            files.append((file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns))
    return Fingerprint(path, tuple(files))
