"""The candidates of requests: drawn, or taken from a file that an earlier run wrote."""

from typing import NamedTuple

import numpy as np
import polars as pl

from components.example_gen import negatives, stable_hash
from components.example_gen.item_pool import ItemPool
from components.example_gen.settings import LogSettings
from components.example_gen.splits import EVAL, TEST, Split
from components.example_gen.timeline import Ints, TimelineColumns

SCHEMA = pl.Schema(
    {
        "split": pl.String(),
        "user": pl.String(),
        "timestamp": pl.Int64(),
        "item": pl.String(),
        "candidates": pl.List(pl.String),
        "label": pl.Int64(),
    }
)
"""A request of a file of candidates: whose, of which click, what is ranked, and the column of the item clicked.

A request that was set aside, for want of items to rank the click against, has no candidates and the label -1.
"""
_NEVER, _EVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_REQUEST = ["split", "user", "timestamp", "item"]


class Asked(NamedTuple):
    """Requests with candidates.

    Attributes:
        requests: `SCHEMA`, `[R]` rows.
        kept: which of the split's requests these are, `[R]`.
        set_aside: requests that got none, for want of items, `SCHEMA`.
        missing: requests of which the file has no line.
    """

    requests: pl.DataFrame
    kept: Ints
    set_aside: pl.DataFrame
    missing: int = 0


def draw_candidates(timelines: TimelineColumns, split: Split, pool: ItemPool, settings: LogSettings) -> Asked:
    """Draw negatives for all requests and put the positive at a column that the seed fixes."""
    requests = describe(timelines, split)
    keys = stable_hash.mix(
        settings.seed,
        stable_hash.of_strings(requests["user"]),
        requests["timestamp"].to_numpy(),
        stable_hash.of_strings(requests["item"]),
        split.is_test,
    )
    available = np.full(len(keys), pool.items.len())
    if settings.negatives_existing:
        available = np.searchsorted(pool.first, requests["timestamp"].to_numpy(), side="left")
    until = {
        "whole_log": np.full(len(keys), _EVER),
        "past": requests["timestamp"].to_numpy(),
        "none": np.full(len(keys), _NEVER),
    }[settings.negatives_avoid]
    wanted = negatives.Wanted(
        keys,
        available,
        split.user[split.requests],
        pool.places(requests["item"]),
        until,
        _own_items(timelines, split, pool),
    )
    drawn = negatives.draw(pool, wanted, settings.num_negatives, settings.negative_sampling == "popularity")
    kept = np.flatnonzero(drawn[:, 0] >= 0)
    label = (stable_hash.uniform(stable_hash.mix(keys[kept], -1)) * (settings.num_negatives + 1)).astype(np.int64)
    # Columns from the label on move one to the right.
    places = np.zeros((len(kept), settings.num_negatives + 1), np.int64)
    after = np.arange(settings.num_negatives) >= label[:, None]
    np.put_along_axis(places, np.arange(settings.num_negatives) + after, drawn[kept], 1)
    asked = requests[kept]
    positive = np.arange(settings.num_negatives + 1) == label[:, None]
    flat = pl.select(
        pl.when(pl.Series(positive.reshape(-1)))
        .then(asked["item"].gather(np.arange(len(kept)).repeat(positive.shape[1])))
        .otherwise(pool.items.gather(places.reshape(-1)))
    ).to_series()
    candidates = flat.reshape(places.shape).arr.to_list()
    return Asked(
        asked.with_columns(candidates=candidates, label=label),
        kept,
        _without_candidates(requests.filter(drawn[:, 0] < 0)),
    )


def take_candidates(timelines: TimelineColumns, split: Split, imported: pl.DataFrame) -> Asked:
    """Take candidates from lines of `SCHEMA`; a request that occurs twice takes the first of its lines."""
    requests = describe(timelines, split).with_row_index("row")
    found = requests.join(
        imported.unique(_REQUEST, keep="first", maintain_order=True), on=_REQUEST, maintain_order="left"
    )
    asked = found.filter(pl.col("candidates").list.len() > 0)
    set_aside = found.filter(pl.col("candidates").list.len() == 0)
    return Asked(
        asked.select(*SCHEMA),
        asked["row"].to_numpy().astype(np.int64),
        set_aside.select(*SCHEMA),
        requests.height - found.height,
    )


def describe(timelines: TimelineColumns, split: Split) -> pl.DataFrame:
    """What names each request: columns `split`, `user`, `timestamp` and `item`, `[R]`."""
    targets = timelines.clicks[split.requests]
    return targets.select(
        split=pl.Series(np.where(split.is_test, TEST, EVAL), dtype=pl.String),
        user=timelines.users.gather(split.user[split.requests]),
        timestamp="timestamp",
        item="item",
    )


def _without_candidates(requests: pl.DataFrame) -> pl.DataFrame:
    return requests.with_columns(
        candidates=pl.lit([], dtype=SCHEMA["candidates"]), label=pl.lit(-1, dtype=SCHEMA["label"])
    )


def _own_items(timelines: TimelineColumns, split: Split, pool: ItemPool) -> negatives.Own:
    """What each user clicked, recommended or found."""
    searches = timelines.searches.with_columns(
        user=np.repeat(np.arange(timelines.users.len()), np.diff(timelines.search_offsets))
    )
    clicked = (
        pl.concat(
            [
                timelines.clicks.select(user=pl.Series(split.user), item="item", timestamp="timestamp"),
                searches.select("user", pl.col("items").alias("item"), "timestamp").explode("item").drop_nulls("item"),
            ]
        )
        .group_by("user", "item")
        .agg(first=pl.col("timestamp").min())
    )
    known = clicked.with_columns(place=pool.places(clicked["item"])).filter(pl.col("place") >= 0).sort("user", "place")
    return negatives.Own(*(known[name].to_numpy() for name in ("user", "place", "first")))
