"""Streams a Parquet file as frames of text."""

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from components.example_gen.errors import LogError
from components.example_gen.file_report import FileReport
from components.example_gen.readers import fields, files
from components.example_gen.readers.csv_rows import LINE

BATCH_ROWS = 1 << 16
_EXACT_BITS = {"Float64": fields.EXACT_BITS, "Float32": 24, "Float16": 11}
_Schema = dict[str, pl.DataType]


def read_schema(path: str) -> tuple[_Schema, bool]:
    """Return the columns of a file, and whether it has a row.

    Raises:
        LogError: for what is no Parquet file, or not all of one.
    """
    file = _open(path)
    empty = file.schema_arrow.empty_table()
    return dict(pl.DataFrame(pl.from_arrow(empty)).schema), file.metadata.num_rows > 0


def read_rows(
    path: str, columns: Sequence[str], report: FileReport, batch_rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """Stream some columns of a file.

    Args:
        path: of the file.
        columns: names in it.
        report: counts the rows.
        batch_rows: rows a frame.

    Yields:
        `line` (number of the row, from 1) and the columns by name: "" where null, lists as lists of text without
        nulls, structs as they are, all else as text.

    Raises:
        LogError: for a file that breaks off, when all before that has been yielded.
    """
    file, line = _open(path), 1
    try:
        for batch in file.iter_batches(batch_size=batch_rows, columns=list(columns)):
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            texts = frame.select(as_text(pl.col(name), frame.schema[name]) for name in columns)
            report.rows += frame.height
            yield texts.insert_column(0, pl.Series(LINE, range(line, line + frame.height), pl.Int64))
            line += frame.height
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def as_text(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Turn scalars into text, and lists of scalars into lists of text; others stay. Null and NaN are "".

    Whole numbers kept as floats, as a column with gaps is, or as decimals lose their ".0": the ids of another file have
    none. Of those that share their float with others the exponent stays, or the kind of the float, see
    `fields.LARGE_FLOAT`.
    """
    if isinstance(dtype, pl.List | pl.Array):
        values = values if isinstance(dtype, pl.List) else values.arr.to_list()
        if isinstance(dtype.inner, pl.Struct):
            return values
        return values.list.eval(as_text(pl.element(), dtype.inner)).fill_null([])  # type: ignore[arg-type]
    if dtype.is_float():
        values = values.fill_nan(None)
        whole = values.cast(pl.Int64, strict=False)
        exact = values.abs() < 1 << _EXACT_BITS[str(dtype)]
        text = values.cast(pl.String)
        large = text if dtype == pl.Float64 else text + f" ({str(dtype).lower()})"
        return (
            pl.when(~exact).then(large).when(whole == values).then(whole.cast(pl.String)).otherwise(text).fill_null("")
        )
    if dtype.is_decimal():
        return values.cast(pl.String).str.replace(r"\.0+$", "").fill_null("")
    if dtype.is_temporal():
        return values.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.String).fill_null("")
    return values if isinstance(dtype, pl.Struct) else values.cast(pl.String).fill_null("")


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(files.open_bytes(path))
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: str, error: Exception) -> LogError:
    return LogError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0].rstrip('.')}. Bring a whole copy.")
