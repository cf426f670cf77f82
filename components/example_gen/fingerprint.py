"""A fingerprint of a log: the part of a cache key that changes when the data does."""

import hashlib

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.readers import kuaisar

_CHUNK = 1 << 20


def fingerprint(directory: str) -> str:
    """Hash the names of a log's files and the content of those whose rows are read.

    Args:
        directory: of the log, local or a URI.

    Returns:
        32 hexadecimal digits, the same wherever the directory lies.

    Raises:
        LogError: for a log that cannot be used, see `kuaisar.check`.
    """
    digest = hashlib.blake2b(digest_size=16)
    for table, path in sorted(kuaisar.check(directory).items()):
        digest.update(f"{kuaisar.file_name(path)}\n".encode())
        if table in (kuaisar.REC, kuaisar.SEARCH):
            digest.update(_content(path))
    return digest.hexdigest()


def _content(path: str) -> bytes:
    digest = hashlib.blake2b()
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
