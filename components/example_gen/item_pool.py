"""Counts items, and holds those that negatives are drawn from."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import polars as pl

from components.example_gen import stable_hash
from components.example_gen.timeline import Ints

COUNTS_SCHEMA = pl.Schema({"item": pl.String, "clicks": pl.Int64, "first": pl.Int64, "found": pl.Int64})
"""Item; its clicks in recommendations and the time of the first, unix milliseconds or null; its clicks in searches."""


def count_items(clicks: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    """Count the clicked items of one batch, in the form of `COUNTS_SCHEMA`."""
    recommended = clicks.group_by("item").agg(clicks=pl.len().cast(pl.Int64), first=pl.col("timestamp").min())
    found = shown.filter(pl.col("clicked") & (pl.col("item") != "")).group_by("item").agg(found=pl.len().cast(pl.Int64))
    counted = pl.concat([recommended, found], how="diagonal")
    return counted.select("item", pl.col("clicks").fill_null(0), "first", pl.col("found").fill_null(0))


def merge_counts(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Add up counts of items."""
    return (
        pl.concat([pl.DataFrame(schema=COUNTS_SCHEMA), *parts])
        .group_by("item")
        .agg(pl.col("clicks").sum(), pl.col("first").min(), pl.col("found").sum())
    )


def sample_items(counts: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Keep items that were clicked in recommendations; of more than `size` a sample, the same in whatever order.

    Those with the lowest hashes are kept: samples of parts can be sampled again to the sample of the whole.
    """
    counts = counts.filter(pl.col("clicks") > 0)
    if counts.height <= size:
        return counts
    hashes = stable_hash.mix(stable_hash.of_strings(counts["item"]), seed)
    return counts[np.argsort(hashes, kind="stable")[:size]]


@dataclasses.dataclass(frozen=True)
class ItemPool:
    """Items in order of their first click, then of their id, so that those of an earlier time are a prefix.

    Attributes:
        items: raw ids, `[I]`.
        first: time of the first click, `[I]`.
        cumulative_clicks: clicks of the items up to and with each, `[I]`.
    """

    items: pl.Series
    first: Ints
    cumulative_clicks: Ints

    @classmethod
    def of(cls, counts: pl.DataFrame) -> "ItemPool":
        """Build the pool from counts in any order."""
        ordered = counts.sort("first", "item")
        return cls(ordered["item"], ordered["first"].to_numpy(), ordered["clicks"].to_numpy().cumsum())

    def places(self, items: pl.Series) -> Ints:
        """Index of each item, `[n]`; -1 for one that is not in the pool."""
        known = pl.DataFrame({"item": self.items, "place": np.arange(self.items.len())})
        # Looking up a few items among many: the few are hashed, the many are passed by.
        wanted = items.unique().to_frame("item").join(known, on="item")
        found = items.to_frame("item").join(wanted, on="item", how="left", maintain_order="left")
        return found["place"].fill_null(-1).to_numpy().astype(np.int64)
