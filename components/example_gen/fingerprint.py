"""Fingerprints of a log: the part of a cache key that changes when the data does."""

import hashlib
from collections.abc import Mapping

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.settings import LogSettings
from components.example_gen.spans import find_logs

_CHUNK = 1 << 20


def fingerprint(settings: LogSettings) -> str:
    """Hash the names and contents of a log's files.

    Returns:
        32 hexadecimal digits, the same wherever the directory lies.

    Raises:
        LogError: for a log that cannot be used, see `find_logs`.
    """
    return whole_fingerprint(span_fingerprints(settings))


def whole_fingerprint(spans: Mapping[str, str]) -> str:
    """Hash the fingerprints of a log's spans into one."""
    digest = hashlib.blake2b(digest_size=16)
    for span, span_digest in spans.items():
        digest.update(f"{span}\n{span_digest}\n".encode())
    return digest.hexdigest()


def span_fingerprints(settings: LogSettings) -> dict[str, str]:
    """Hash the names and contents of each span's files: span to 32 hexadecimal digits, in the order of the spans.

    Raises:
        LogError: for a log that cannot be used, see `find_logs`.
    """
    digests = {}
    for span, found in find_logs(settings):
        digest = hashlib.blake2b(digest_size=16)
        for file in found:
            digest.update(f"{file.table}\n{file.name}\n".encode() + _content(file.path))
        digests[span] = digest.hexdigest()
    return digests


def _content(path: str) -> bytes:
    digest = hashlib.blake2b()
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
