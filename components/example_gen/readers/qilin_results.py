"""Unfolds the lists of results of Qilin's requests: one row a result."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from components.example_gen.file_report import FileReport
from components.example_gen.readers import parquet_rows, tables
from components.example_gen.readers.csv_rows import LINE
from components.example_gen.readers.rows import count

PLACE: Final = "place"
"""Running number of a result in its file."""

_STRUCT: Final = r"\{[^{}]*\}"


def require_fields(path: str, details: str, fields: Sequence[str]) -> None:
    """Check the types of the results of a Parquet file, as `tables.require_flat` does for columns.

    Raises:
        LogError: for a field that is neither text, a number nor a time.
    """
    if not path.endswith(".parquet"):
        return
    dtype = parquet_rows.read_schema(path)[0][details]
    if not (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)):
        return
    for field in dtype.inner.fields:
        if field.name in fields:
            tables.require_type(path, f"{details}.{field.name}", field.dtype)  # type: ignore[arg-type]


def unfold(
    requests: pl.DataFrame, details: str, fields: Sequence[str], first_place: int, report: FileReport
) -> pl.DataFrame:
    """Give every result a row, in the order of its `position`, where it has none of the list.

    Args:
        requests: `line`, columns of text, and the lists: of structs, or printed by JSON or numpy, which puts no commas
            between the structs.
        details: column of the lists.
        fields: of a result, to become columns of text; "" where it lacks one.
        first_place: number of the first result.
        report: its count of rows, so far of requests, becomes one of results; a request without any is set aside.

    Returns:
        `line`, `place`, the other columns and the fields.
    """
    texts = requests.schema[details] == pl.String
    good = _is_printed_list(details) if texts else pl.col(details).list.len() >= 0
    count(
        report.set_aside,
        f"{details} is no list of results",
        requests.filter(~good).select(LINE, pl.col(details).cast(pl.String)),
        report.max_samples,
    )
    requests = requests.filter(good)
    results = (requests.with_columns(pl.col(details).str.extract_all(_STRUCT)) if texts else requests).filter(
        pl.col(details).list.len() > 0
    )
    empty = requests.join(results, on=LINE, how="anti", maintain_order="left")
    count(report.set_aside, f"{details} is empty", empty.select(LINE, pl.lit("")), report.max_samples)
    rows = results.explode(details).with_columns(_field(details, field, results) for field in fields)
    report.rows += rows.height - results.height
    position = pl.col("position").cast(pl.Float64, strict=False).fill_nan(None)
    return (
        rows.drop(details)
        .sort(LINE, position, nulls_last=True, maintain_order=True)
        .with_row_index(PLACE, first_place)
        .with_columns(pl.col(PLACE).cast(pl.Int64))
    )


def _is_printed_list(details: str) -> pl.Expr:
    rest = pl.col(details).str.replace_all(_STRUCT, "").str.replace_all(r"[\s,]+", "")
    return rest == "[]"


def _field(details: str, field: str, results: pl.DataFrame) -> pl.Expr:
    dtype = results.schema[details].inner  # type: ignore[attr-defined]
    if dtype == pl.String:
        return pl.col(details).str.extract(rf"""['"]{field}['"]\s*:\s*['"]?([^,}}'"]*)""").fill_null("").alias(field)
    dtypes = {entry.name: entry.dtype for entry in dtype.fields}
    if field not in dtypes:
        return pl.lit("").alias(field)
    return parquet_rows.as_text(pl.col(details).struct.field(field), dtypes[field]).alias(field)
