"""Patterns of files that a setting gives, for Beam."""

import re

from apache_beam.io.filesystems import FileSystems


def beam_pattern(pattern: str) -> str:
    """Return what makes Beam match a pattern, whose directory is taken by its name where one of that name is there.

    So is the whole of it where it is the name of a file: `[v2]` and `?` are parts of names then.
    """
    if FileSystems.exists(pattern):
        return _escaped(pattern)
    directory, name = FileSystems.split(pattern)
    return FileSystems.join(_escaped(directory), name) if FileSystems.exists(directory) else pattern


def _escaped(path: str) -> str:
    return re.sub(r"[*?[]", r"[\g<0>]", path)
