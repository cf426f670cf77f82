"""The versions in a directory of pushed models, as model servers read it."""

import os
import re
from collections.abc import Callable, Iterable

_NUMBER = re.compile(r"[0-9]+")


def numbered(
    directory: str,
    listdir: Callable[[str], Iterable[str]] = os.listdir,
    exists: Callable[[str], bool] = os.path.exists,
) -> dict[int, str]:
    """Paths of the entries whose names are numbers, the lowest first; none where there is no directory.

    Args:
        directory: a path or a URI.
        listdir, exists: of the file system that it is on; the local one is asked without loading TensorFlow.
    """
    names = [name.strip("/") for name in listdir(directory)] if exists(directory) else []
    return {int(name): os.path.join(directory, name) for name in sorted(filter(_NUMBER.fullmatch, names), key=int)}


def complete_versions(
    directory: str,
    listdir: Callable[[str], Iterable[str]] = os.listdir,
    exists: Callable[[str], bool] = os.path.exists,
) -> dict[int, str]:
    """Paths of the versions that servers see, by number, the newest last: those with a `saved_model.pb`.

    Args:
        directory, listdir, exists: as above; the directory holds numeric ones, as the Pusher writes them.
    """
    found = numbered(directory, listdir, exists)
    return {number: path for number, path in found.items() if exists(os.path.join(path, "saved_model.pb"))}


def newest_version(
    directory: str,
    listdir: Callable[[str], Iterable[str]] = os.listdir,
    exists: Callable[[str], bool] = os.path.exists,
) -> str | None:
    """Path of the complete version with the highest number; None where there is none. Arguments as above."""
    return next(reversed(complete_versions(directory, listdir, exists).values()), None)
