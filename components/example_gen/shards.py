"""Deals the rows of a log out to shards by user, and the items to shards by item, as bytes that Beam can move."""

import io
from collections.abc import Iterable, Iterator

import polars as pl

from components.example_gen.events import Events
from components.example_gen.log_file import LogFile

_PACKED = 5
"""How many times larger a log is than its gzip file, for the number of shards alone."""
_FILE = 1 << 40
"""Lines of a file at the most: its number in the log stands above them."""
_PART = 1 << 16
"""Bytes of rows that make a part worth while."""


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


def gather(batches: Iterable[Events], shards: int, most: int) -> Iterator[Events]:
    """Put batches together until a shard's share of them is worth a part of its own.

    A part costs about a kilobyte of names and types. Dealt out batch by batch, a log of n rows in an order of time
    would have a part for each batch and shard, n times n of them.

    Args:
        batches: of one file, in order.
        shards: that they are dealt out to.
        most: bytes of rows that are held at the most, but for one batch more.
    """
    held: list[Events] = []
    for batch in batches:
        held.append(batch)
        size = sum(events.estimated_size() for one in held for events in one)
        if size >= min(most, shards * _PART):
            yield Events(*map(pl.concat, zip(*held, strict=True)))
            held = []
    if held:
        yield Events(*map(pl.concat, zip(*held, strict=True)))


def pack(rows: pl.DataFrame) -> bytes:
    """Rows as bytes."""
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def unpack(parts: Iterable[bytes], schema: pl.Schema) -> pl.DataFrame:
    """The rows of all parts, one after the other; of no part, an empty frame of the schema."""
    frames = [pl.read_ipc_stream(io.BytesIO(part)) for part in parts]
    return pl.concat([pl.DataFrame(schema=schema), *frames])
