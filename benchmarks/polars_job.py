"""What ExampleGen does, as one writes it in a script: polars for the tables, a loop for the Examples.

    python -m benchmarks.polars_job LOG_DIR OUT_DIR

Leave-one-out with 99 uniform negatives, an unclicked search's first result for its click; files that are well formed.
No report of bad rows, no shards, no runner: the whole log is in memory.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import tensorflow as tf

LENGTH, NEGATIVES, WORDS, ITEMS = 30, 99, 8, 5


def main(log: Path, out: Path) -> None:
    """Read, split, sample and write."""
    clicks = (
        pl.scan_csv(log / "rec_inter.csv*")
        .with_row_index("line")
        .filter(pl.col("click") > 0)
        .select("user_id", "item_id", "line", time=pl.col("timestamp").cast(pl.Int64))
        .sort("user_id", "time", "line")
        .collect()
    )
    shown = (
        pl.scan_csv(log / "src_inter.csv*")
        .with_row_index("line")
        .select(
            "user_id",
            "item_id",
            "line",
            "keyword",
            "search_source",
            session="search_session_id",
            time=pl.col("search_session_timestamp").cast(pl.Int64),
            clicked=pl.col("click_cnt") > 0,
        )
    )
    searches = (
        shown.sort("line")
        .group_by("user_id", "time", "session", "keyword", "search_source", maintain_order=True)
        .agg(
            clicked=pl.col("clicked").any(),
            items=pl.col("item_id").filter("clicked").unique(maintain_order=True).head(ITEMS),
            first=pl.col("item_id").head(1),
            line=pl.col("line").first(),
        )
        .with_columns(
            items=pl.when(pl.col("items").list.len() > 0).then("items").otherwise("first"),
            words=pl.col("keyword").str.json_decode(pl.List(pl.Int64)).list.head(WORDS),
        )
        .sort("user_id", "time", "line")
        .collect()
    )
    pool = clicks["item_id"].unique().sort().to_numpy()
    rng = np.random.default_rng(2025)
    out.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    writers = {name: tf.io.TFRecordWriter(str(out / f"{name}.gz"), options) for name in ("train", "eval", "test")}
    by_user = searches.partition_by("user_id", as_dict=True)
    none = searches.clear()
    for (user,), own in clicks.partition_by("user_id", as_dict=True).items():
        searched = by_user.pop((user,), none)
        write_user(user, own, searched, pool, rng, writers)
    for (user,), searched in by_user.items():
        write_user(user, clicks.clear(), searched, pool, rng, writers)
    for writer in writers.values():
        writer.close()


def write_user(  # noqa: PLR0917 - a script
    user: int,
    clicks: pl.DataFrame,
    searches: pl.DataFrame,
    pool: npt.NDArray[Any],
    rng: np.random.Generator,
    writers: dict[str, tf.io.TFRecordWriter],
) -> None:
    """Write a timeline and up to two requests."""
    items, times = clicks["item_id"].to_list(), clicks["time"].to_numpy()
    before, searches_before = (np.searchsorted(all_times, times) for all_times in (times, searches["time"].to_numpy()))
    trained = len(items) - 2 if len(items) >= 3 else len(items)
    kept = searches_before[trained] if trained < len(items) else searches.height
    history = features(user, items[:trained], times[:trained], searches[:kept])
    search_times = searches["time"].to_numpy()[:kept]
    earlier = [np.searchsorted(all_times, search_times) for all_times in (times, search_times)]
    known = (before + searches_before > 0)[:trained].astype(int)
    write(
        writers["train"],
        {
            **history,
            "rec_clicks_before": before[:trained],
            "rec_is_target": known,
            "rec_searches_before": searches_before[:trained],
            "search_clicks_before": earlier[0],
            "search_searches_before": earlier[1],
            "search_is_target": searches["clicked"].to_numpy()[:kept].astype(int),
        },
    )
    own = {*items, *searches["items"].explode().drop_nulls().to_list()}
    for split, at in (("eval", trained), ("test", trained + 1)):
        if at < len(items) and before[at] + searches_before[at]:
            negatives: dict[int, None] = {}
            while len(negatives) < NEGATIVES:
                drawn = pool[rng.integers(len(pool), size=NEGATIVES)].tolist()
                negatives.update((item, None) for item in drawn if item not in own)
            candidates = list(negatives)[:NEGATIVES]
            label = int(rng.integers(NEGATIVES + 1))
            candidates.insert(label, items[at])
            seen = searches[max(0, searches_before[at] - LENGTH) : searches_before[at]]
            recent = slice(max(0, before[at] - LENGTH), before[at])
            history = features(user, items[recent], times[recent], seen)
            write(writers[split], {**history, "candidates": texts(candidates), "label": [label]})


def features(user: int, items: list[int], times: npt.NDArray[Any], searches: pl.DataFrame) -> dict[str, Any]:
    """A history."""
    words, found = searches["words"].to_list(), searches["items"].to_list()
    return {
        "user": texts([user]),
        "rec_items": texts(items),
        "rec_times": times,
        "search_words": texts([word for one in words for word in one]),
        "search_word_counts": [len(one) for one in words],
        "search_items": texts([item for one in found for item in one]),
        "search_item_counts": [len(one) for one in found],
        "search_times": searches["time"].to_numpy(),
    }


def texts(ids: list[int]) -> list[bytes]:
    """Ids as text."""
    return [str(one).encode() for one in ids]


def write(writer: tf.io.TFRecordWriter, values: dict[str, Any]) -> None:
    """Write an Example."""
    example = tf.train.Example()
    for name, value in values.items():
        feature = example.features.feature[name]
        if len(value) and isinstance(value[0], bytes):
            feature.bytes_list.value.extend(value)
        else:
            feature.int64_list.value.extend(value)
    writer.write(example.SerializeToString())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
