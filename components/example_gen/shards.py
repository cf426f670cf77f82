"""Deals the rows of a log out to shards by user, and the items to shards by item, as bytes that Beam can move."""

import io
from collections.abc import Iterable, Iterator

import polars as pl

from components.example_gen.log_file import LogFile

_PACKED = 5
"""How many times larger a log is than its gzip file, for the number of shards alone."""
_FILE = 1 << 40
"""Lines of a file at the most: its number in the log stands above them."""


def number_of_shards(files: Iterable[LogFile], shard_bytes: int) -> int:
    """Shards into which a log is dealt, so that one holds about `shard_bytes` of text."""
    text = sum(file.size * (_PACKED if file.name.endswith((".gz", ".parquet")) else 1) for file in files)
    return max(1, -(-text // shard_bytes))


def place_in_log(events: pl.DataFrame, file: int) -> pl.DataFrame:
    """Put the number of the file in front of `line`."""
    return events.with_columns(pl.col("line") + file * _FILE)


def deal(rows: pl.DataFrame, by: str, shards: int) -> Iterator[tuple[int, bytes]]:
    """Cut rows into shards by a hash of a column of strings; gives each shard that has rows, packed."""
    # Polars promises this hash within a release, and a run has one release on all its workers.
    dealt = rows.with_columns(_shard=pl.col(by).hash(seed=0) % shards)
    for (shard,), part in dealt.partition_by("_shard", as_dict=True, include_key=False).items():
        yield int(shard), pack(part)


def pack(rows: pl.DataFrame) -> bytes:
    """Rows as bytes."""
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def unpack(parts: Iterable[bytes], schema: pl.Schema) -> pl.DataFrame:
    """The rows of all parts, one after the other; of no part, an empty frame of the schema."""
    frames = [pl.read_ipc_stream(io.BytesIO(part)) for part in parts]
    return pl.concat([pl.DataFrame(schema=schema), *frames])
