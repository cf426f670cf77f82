"""Finds and opens the files of a log on any filesystem that Beam knows."""

import gzip
from typing import IO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.errors import LogError
from components.example_gen.log_file import LogFile

GZIP = ".gz"


def match(pattern: str) -> list[tuple[str, int]]:
    """Return path and bytes of what matches, sorted by path; none where the directory does not exist."""
    found = FileSystems.match([pattern])[0].metadata_list
    return sorted((metadata.path, metadata.size_in_bytes) for metadata in found)


def join(directory: str, *names: str) -> str:
    """Return the path of what lies in a directory."""
    return FileSystems.join(directory, *names)


def find_table(directory: str, table: str) -> LogFile | None:
    """Return the file of a table, plain or `.gz`; None where there is neither.

    Raises:
        LogError: where there are both.
    """
    paths = [path for name in (table, table + GZIP) if FileSystems.exists(path := join(directory, name))]
    if len(paths) > 1:
        raise LogError(f"{directory} holds both {table} and {table}{GZIP}. Keep one of them.")
    return LogFile(table, paths[0], match(paths[0])[0][1]) if paths else None


def open_bytes(path: str) -> IO[bytes]:
    """Open a file for reading, unpacked where its name ends in `.gz`.

    Python's gzip unpacks, not Beam's: Beam takes a truncated file for a whole one.
    """
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return gzip.GzipFile(fileobj=raw) if path.endswith(GZIP) else raw  # type: ignore[return-value]


def directories(directory: str) -> list[str]:
    """Return the sorted names of the directories in a directory that hold a file, directly or one level down."""
    below = directory.rstrip("/") + "/"
    found = match(join(directory, "*", "*")) + match(join(directory, "*", "*", "*"))
    return sorted({path.removeprefix(below).split("/")[0] for path, _ in found})
