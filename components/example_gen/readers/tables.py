"""Reads a table as frames of text, whatever the format of its file."""

import posixpath
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import polars as pl

from components.example_gen.errors import LogError, name_some
from components.example_gen.file_report import FileReport
from components.example_gen.log_file import LogFile
from components.example_gen.readers import csv_rows, files, json_rows, parquet_rows

ENDINGS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def find(directory: str, table: str, endings: Sequence[str] = ENDINGS) -> list[LogFile]:
    """Find a table: one file `TABLE.csv`, parts `TABLE-*.csv`, or a directory `TABLE/` or `TABLE.csv/` of parts.

    In a directory of parts there may be directories `NAME=VALUE`, see `read_rows`.

    Returns:
        Its files, sorted by path.

    Raises:
        LogError: where it is there in several formats.
    """
    parts = [
        LogFile(table, files.join(directory, name), size, posixpath.dirname(name))
        for name, size in files.listing(directory).items()
        if _is_part(name, table, endings)
    ]
    formats = sorted({ending for file in parts for ending in endings if file.path.endswith(ending)})
    if len(formats) > 1:
        raise LogError(f"{directory} holds {table} as {' and '.join(formats)}. Keep one of them.")
    return parts


def left_out(directory: str, table: str, endings: Sequence[str] = ENDINGS) -> list[str]:
    """Return the files that lie or are named as those of a table and are no data: their paths from the directory."""

    def is_named_so(name: str) -> bool:
        bare = name.split("/", maxsplit=1)[0].lstrip("._~")
        return bare == table or bare.startswith((f"{table}-", f"{table}."))

    return [name for name in files.listing(directory) if is_named_so(name) and not _is_part(name, table, endings)]


def _is_part(name: str, table: str, endings: Sequence[str]) -> bool:
    *folders, file = name.split("/")
    if any(map(files.is_hidden, (*folders, file))):
        return False
    first = (folders or [file])[0]
    is_table = first in {table + ending for ending in endings} or (
        first.startswith(f"{table}-") and first.endswith(tuple(endings))
    )
    if not folders:
        return is_table
    return (
        (first == table or is_table) and all("=" in folder for folder in folders[1:]) and file.endswith(tuple(endings))
    )


def read_header(path: str) -> tuple[list[str], bool]:
    """Return the names of a file's columns, those of its directories among them, and whether it has a row.

    Raises:
        LogError: for a file that cannot be read.
    """
    header, has_row = _own_header(path)
    return list(dict.fromkeys([*header, *folder_columns(path)])), has_row


def read_rows(
    path: str, columns: Sequence[str], report: FileReport, batch_rows: int = parquet_rows.BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """Stream some columns of a file; see `read_rows` of each format.

    A column that the file lacks is that of a directory `NAME=VALUE` in its path, as Hive and Spark write partitions.
    """
    given = {name: value for name, value in folder_columns(path).items() if name in columns}
    if given:
        given = {name: value for name, value in given.items() if name not in _own_header(path)[0]}
    own = [name for name in columns if name not in given]
    if path.endswith(".parquet"):
        frames = parquet_rows.read_rows(path, own, report, batch_rows)
    else:
        frames = (csv_rows if _is_csv(path) else json_rows).read_rows(path, own, report)
    for frame in frames:
        yield frame.with_columns(pl.lit(value).alias(name) for name, value in given.items())


def _own_header(path: str) -> tuple[list[str], bool]:
    if path.endswith(".parquet"):
        schema, has_row = parquet_rows.read_schema(path)
        return list(schema), has_row
    return (csv_rows if _is_csv(path) else json_rows).read_header(path)


def folder_columns(path: str) -> dict[str, str]:
    """Return the columns that the directories `NAME=VALUE` of a path stand for, with their value."""
    pairs = (folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder)
    return {name: "" if value == _NO_VALUE else unquote(value) for name, value in pairs}


def require(file: LogFile, columns: Sequence[str]) -> LogFile:
    """Check that a file has columns, unless it has no row, and say whether it has one.

    Raises:
        LogError: for a column that is not there.
    """
    own, has_row = _own_header(file.path)
    header = [*own, *folder_columns(file.path)]
    missing = [name for name in columns if name not in header]
    if missing and (own or has_row):
        raise LogError(f"{file.path} has no column {', '.join(missing)}. Its header: {', '.join(header)}.")
    return file._replace(has_rows=has_row)


def require_rows(directory: str, kind: str, parts: Sequence[LogFile], others: Sequence[str]) -> None:
    """Check that a table is there and has a row.

    Args:
        directory: of the log.
        kind: the table, as an error names it.
        parts: its files, each checked by `require`.
        others: files that are no data, to be named.

    Raises:
        LogError: where it is not, or has none.
    """
    if not parts:
        raise LogError(f"{directory} holds no {kind}{_beside(others)}. Set `log_dir` to the directory of the log.")
    if not any(file.has_rows for file in parts):
        raise LogError(f"{name_some([file.path for file in parts])}: no row. Bring a log with events.")


def _beside(others: Sequence[str]) -> str:
    return f", but what is no data: {name_some(others)}" if others else ""


def require_flat(path: str, columns: Sequence[str]) -> None:
    """Check that columns of a Parquet file hold text, numbers, times or lists of them; other formats tell by row.

    Raises:
        LogError: for a column that holds something else.
    """
    if not path.endswith(".parquet"):
        return
    schema, _ = parquet_rows.read_schema(path)
    for name in columns:
        require_type(path, name, schema.get(name, pl.String()))


def require_type(path: str, name: str, dtype: pl.DataType) -> None:
    """Check one column, or one field of a struct, as `require_flat` does."""
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    if inner in (pl.Time, pl.Duration):
        raise LogError(
            f"{path}: {name} should hold moments, not times of a day or spans of time. Received: {dtype}. "
            "Store it as a timestamp, or as a number of milliseconds since 1970."
        )
    if inner.is_nested() or inner == pl.Binary:
        raise LogError(f"{path}: {name} should hold text, numbers, times or lists of them. Received: {dtype}.")


def _is_csv(path: str) -> bool:
    return path.removesuffix(files.GZIP).endswith(".csv")
