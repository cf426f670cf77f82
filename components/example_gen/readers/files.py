"""Finds and opens the files of a log on any filesystem that Beam knows.

A path is a path: nothing in it is a pattern, `[2024]` and `?` in the name of a directory are parts of the name.
"""

import gzip
from typing import IO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.errors import LogError
from components.example_gen.log_file import LogFile

GZIP = ".gz"


def listing(directory: str) -> dict[str, int]:
    """Return the files in and below a directory: path from there to bytes, sorted; none where it does not exist."""
    below = directory.rstrip("/") + "/"
    # What `FileSystems.match` lists with, before it takes the path for a pattern.
    found = FileSystems.get_filesystem(below)._list(below)
    return dict(sorted((metadata.path.removeprefix(below), metadata.size_in_bytes) for metadata in found))


def is_hidden(name: str) -> bool:
    """Whether a name begins as those of files do that are no data: of systems, and of writers that are not done."""
    return name.startswith((".", "_"))


def join(directory: str, *names: str) -> str:
    """Return the path of what lies in a directory."""
    return FileSystems.join(directory, *names)


def find_table(directory: str, table: str) -> LogFile | None:
    """Return the file of a table, plain or `.gz`; None where there is neither.

    Raises:
        LogError: where there are both, or one is a directory.
    """
    paths = [path for name in (table, table + GZIP) if FileSystems.exists(path := join(directory, name))]
    if len(paths) > 1:
        raise LogError(f"{directory} holds both {table} and {table}{GZIP}. Keep one of them.")
    for path in paths:
        if listing(path):
            raise LogError(
                f"{path} is a directory. Put its parts into one file, or choose `source` = events, which reads parts."
            )
    return LogFile(table, paths[0], FileSystems.get_filesystem(paths[0]).size(paths[0])) if paths else None


def open_bytes(path: str) -> IO[bytes]:
    """Open a file for reading, unpacked where its name ends in `.gz`.

    Python's gzip unpacks, not Beam's: Beam takes a truncated file for a whole one.
    """
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return gzip.GzipFile(fileobj=raw) if path.endswith(GZIP) else raw  # type: ignore[return-value]


def directories(directory: str) -> list[str]:
    """Return the sorted names of the directories in a directory that hold a file, at any depth."""
    return sorted({name.split("/")[0] for name in listing(directory) if "/" in name})
