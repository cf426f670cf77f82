"""The candidates of requests: drawn, or taken from a file that an earlier run wrote."""

from typing import NamedTuple

import numpy as np
import polars as pl

from components.example_gen import negatives, stable_hash
from components.example_gen.item_pool import ItemPool
from components.example_gen.settings import LogSettings
from components.example_gen.splits import EVAL, TEST, Split
from components.example_gen.timeline import Ints, Timelines

SCHEMA = pl.Schema({"split": pl.String(), "user": pl.String(), "timestamp": pl.Int64(), "item": pl.String(),
                    "candidates": pl.List(pl.String), "label": pl.Int64()})
"""A request of a file of candidates: whose, of which click, what is ranked, and the column of the item clicked."""
_REQUEST = ["split", "user", "timestamp", "item"]


class Asked(NamedTuple):
    """Requests with candidates.

    Attributes:
        requests: `SCHEMA`, `[R]` rows.
        kept: which of the split's requests these are, `[R]`.
        without: requests that got none: fewer items than wanted, or no line in the file.
    """

    requests: pl.DataFrame
    kept: Ints
    without: int


def draw_candidates(timelines: Timelines, split: Split, pool: ItemPool, settings: LogSettings) -> Asked:
    """Draw negatives for all requests and put the positive at a column that the seed fixes."""
    requests = describe(timelines, split)
    keys = stable_hash.mix(
        settings.seed, stable_hash.of_strings(requests["user"]), requests["timestamp"].to_numpy(),
        stable_hash.of_strings(requests["item"]), split.is_test)
    available = np.full(len(keys), pool.items.len())
    if settings.negatives_existing:
        available = np.searchsorted(pool.first, requests["timestamp"].to_numpy(), side="left")
    wanted = negatives.Wanted(keys, available, _excluded(timelines, split, pool, available, settings))
    drawn = negatives.draw(pool, wanted, settings.num_negatives, settings.negative_sampling == "popularity")
    kept = np.flatnonzero(drawn[:, 0] >= 0)
    label = (stable_hash.uniform(stable_hash.mix(keys[kept], -1)) * (settings.num_negatives + 1)).astype(np.int64)
    # Columns from the label on move one to the right.
    places = np.zeros((len(kept), settings.num_negatives + 1), np.int64)
    after = np.arange(settings.num_negatives) >= label[:, None]
    np.put_along_axis(places, np.arange(settings.num_negatives) + after, drawn[kept], 1)
    asked = requests[kept]
    positive = np.arange(settings.num_negatives + 1) == label[:, None]
    flat = pl.select(pl.when(pl.Series(positive.reshape(-1))).then(
        asked["item"].gather(np.arange(len(kept)).repeat(positive.shape[1]))).otherwise(
        pool.items.gather(places.reshape(-1)))).to_series()
    candidates = flat.reshape(places.shape).arr.to_list()
    return Asked(asked.with_columns(candidates=candidates, label=label), kept, requests.height - len(kept))


def take_candidates(timelines: Timelines, split: Split, imported: pl.DataFrame) -> Asked:
    """Take candidates from lines of `SCHEMA`; a request that occurs twice takes the first of its lines."""
    requests = describe(timelines, split).with_row_index("row")
    found = requests.join(imported.unique(_REQUEST, keep="first", maintain_order=True), on=_REQUEST,
                          maintain_order="left")
    kept = found["row"].to_numpy().astype(np.int64)
    return Asked(found.select(*SCHEMA), kept, requests.height - found.height)


def describe(timelines: Timelines, split: Split) -> pl.DataFrame:
    """What names each request: columns `split`, `user`, `timestamp` and `item`, `[R]`."""
    targets = timelines.clicks[split.requests]
    return targets.select(
        split=pl.Series(np.where(split.is_test, TEST, EVAL), dtype=pl.String),
        user=timelines.users.gather(split.user[split.requests]), timestamp="timestamp", item="item")


def _excluded(
    timelines: Timelines, split: Split, pool: ItemPool, available: Ints, settings: LogSettings
) -> tuple[Ints, Ints]:
    """Pairs of request and place in the pool: what the request's user clicked, recommended or found."""
    searches = timelines.searches.with_columns(
        user=np.repeat(np.arange(timelines.users.len()), np.diff(timelines.search_offsets)))
    clicked = pl.concat([
        timelines.clicks.select(user=pl.Series(split.user), item="item", timestamp="timestamp"),
        searches.select("user", pl.col("items").alias("item"), "timestamp").explode("item").drop_nulls("item"),
    ]).group_by("user", "item").agg(first=pl.col("timestamp").min())
    clicked = clicked.with_columns(place=pool.places(clicked["item"])).filter(pl.col("place") >= 0)
    requests = pl.DataFrame({
        "request": np.arange(len(split.requests)), "user": split.user[split.requests], "available": available,
        "target": timelines.clicks["timestamp"].gather(split.requests)})
    pairs = requests.join(clicked, on="user").filter(pl.col("place") < pl.col("available"))
    if settings.negatives_avoid == "past":
        pairs = pairs.filter(pl.col("first") <= pl.col("target"))
    pairs = pairs.sort("request", "place")
    return pairs["request"].to_numpy(), pairs["place"].to_numpy()
