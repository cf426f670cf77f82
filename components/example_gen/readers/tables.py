"""Reads a table as frames of text, whatever the format of its file."""

from collections.abc import Iterator, Sequence

import polars as pl

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import csv_rows, files, json_rows, parquet_rows

ENDINGS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")


def find(directory: str, table: str) -> list[LogFile]:
    """Find a table: one file `TABLE.csv`, parts `TABLE-*.csv`, or a directory `TABLE/` of parts; sorted by path.

    Raises:
        LogError: where it is there in several formats.
    """
    patterns = [table + ending for ending in ENDINGS] + [f"{table}-*"]
    found = [match for pattern in patterns for match in files.match(files.join(directory, pattern))]
    found += files.match(files.join(directory, table, "*"))
    parts = sorted((path, size) for path, size in found if path.endswith(ENDINGS))
    formats = sorted({ending for path, _ in parts for ending in ENDINGS if path.endswith(ending)})
    if len(formats) > 1:
        raise LogError(f"{directory} holds {table} as {' and '.join(formats)}. Keep one of them.")
    return [LogFile(table, path, size) for path, size in parts]


def read_header(path: str) -> tuple[list[str], bool]:
    """Return the names of a file's columns, and whether it has a row.

    Raises:
        LogError: for a file that is empty or cannot be read.
    """
    if path.endswith(".parquet"):
        schema, has_row = parquet_rows.read_schema(path)
        return list(schema), has_row
    return (csv_rows if _is_csv(path) else json_rows).read_header(path)


def read_rows(path: str, columns: Sequence[str], report: FileReport) -> Iterator[pl.DataFrame]:
    """Stream some columns of a file; see `read_rows` of each format."""
    if path.endswith(".parquet"):
        return parquet_rows.read_rows(path, columns, report)
    return (csv_rows if _is_csv(path) else json_rows).read_rows(path, columns, report)


def require(path: str, columns: Sequence[str], needs_row: bool = True) -> list[str]:
    """Check that a file has columns, and a row unless it needs none, and return all its columns.

    Raises:
        LogError: for what is not there.
    """
    header, has_row = read_header(path)
    missing = [name for name in columns if name not in header]
    if missing:
        raise LogError(f"{path} has no column {', '.join(missing)}. Its header: {', '.join(header)}.")
    if needs_row and not has_row:
        raise LogError(f"{path} has a header but no row. Bring a log with events.")
    return header


def require_flat(path: str, columns: Sequence[str]) -> None:
    """Check that columns of a Parquet file hold text, numbers, times or lists of them; other formats tell by row.

    Raises:
        LogError: for a column that holds something else.
    """
    if not path.endswith(".parquet"):
        return
    schema, _ = parquet_rows.read_schema(path)
    for name in columns:
        dtype = schema[name]
        inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        if inner.is_nested() or inner == pl.Binary:
            raise LogError(f"{path}: {name} should hold text, numbers, times or lists of them. Received: {dtype}.")


def _is_csv(path: str) -> bool:
    return path.removesuffix(files.GZIP).endswith(".csv")
