"""Opens and streams CSV files, plain or gzip, from any filesystem that Beam knows."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import TextIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.errors import LogError

FIELD_LIMIT = 256 * 1024 * 1024
"""Captions of KuaiSAR run to far more than the 128 KiB that `csv` allows."""


def find(log_dir: str, table: str) -> str | None:
    """Return the path of a table, plain or `.gz`; None where there is neither.

    Raises:
        LogError: where there are both.
    """
    paths = [path for name in (table, f"{table}.gz") if FileSystems.exists(path := FileSystems.join(log_dir, name))]
    if len(paths) > 1:
        raise LogError(f"{log_dir} holds both {table} and {table}.gz. Keep one of them.")
    return paths[0] if paths else None


def open_text(path: str) -> TextIO:
    """Open a file as UTF-8 text, with or without a byte order mark.

    Python's gzip unpacks, not Beam's: Beam takes a truncated file for a whole one.
    """
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    content = gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw
    return io.TextIOWrapper(content, encoding="utf-8-sig", newline="")  # type: ignore[arg-type]


def stream(path: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the rows of a file, the header first, without blank lines.

    Yields:
        The line at which the row starts, from 1, and its fields, or the error of a row with malformed quotes.

    Raises:
        LogError: for a file that ends too early or is no gzip or UTF-8 file.
    """
    csv.field_size_limit(FIELD_LIMIT)
    with open_text(path) as text:
        # Strict: otherwise a quote that is never closed swallows the rest of the file as one field.
        reader = csv.reader(text, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise LogError(f"{path} ends inside a quoted field that opens at line {line}. Close the quote or "
                                   "bring a whole copy of the file.") from error
                yield line, error
                continue
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise LogError(f"{path} cannot be unpacked after line {line - 1}: {error}. It is truncated or no gzip "
                               "file; bring a whole copy.") from error
            except UnicodeDecodeError as error:
                raise LogError(f"{path} is no UTF-8 text after line {line - 1}: {error}. Convert it "
                               "to UTF-8.") from error
            if fields:
                yield line, fields
