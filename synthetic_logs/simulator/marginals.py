"""Measures the marginal distributions of a log in KuaiSAR's form, from its files alone."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

REQUEST_GAP_MS = 1_800_000
"""Two requests of a user farther apart are in different visits [Qilin: the rule of its authors' analysis]."""


class Marginals(NamedTuple):
    """What was measured.

    Attributes:
        figures: single numbers by name.
        users: rows of both files a user: `user_id, rec, search`.
        popularity: items by how often they occur: `times, rec, rec_clicks, search` (numbers of items).
        session_clicks: searches with a click by number of clicks: `clicks, searches`.
        query_words: searches by words: `words, searches`.
        batch_rows: timestamps of the feed by rows that share them: `rows, batches`.
        transitions: pairs of requests within 30 minutes: `pair, share`.
        rec_levels, search_levels: mean rows a user by level of activity, over the mean of all: `level, rec, search`.
    """

    figures: dict[str, float]
    users: pl.DataFrame
    popularity: pl.DataFrame
    session_clicks: pl.DataFrame
    query_words: pl.DataFrame
    batch_rows: pl.DataFrame
    transitions: pl.DataFrame
    rec_levels: pl.DataFrame
    search_levels: pl.DataFrame


def measure(log_dir: str | Path) -> Marginals:
    """Read a log, gzipped or not, in one directory or in one a day.

    Rows with an empty user, item or time are left out of all but the count of them.

    Raises:
        FileNotFoundError: where a file is missing.
    """
    # Only the columns that are used are read; a row is one observation, repeated rows of a search too.
    rec_all = _scan(log_dir, "rec_inter.csv").select("user_id", "item_id", "timestamp", "click")
    search_all = _scan(log_dir, "src_inter.csv").select(
        "user_id", "item_id", "keyword", "click_cnt", "search_session_id", timestamp="search_session_timestamp"
    )
    rec, search = rec_all.drop_nulls(), search_all.drop_nulls()
    users = _collect(
        rec.group_by("user_id")
        .agg(rec=pl.len())
        .join(search.group_by("user_id").agg(search=pl.len()), on="user_id", how="full", coalesce=True)
        .fill_null(0)
    )
    items = _collect(
        rec.group_by("item_id")
        .agg(rec=pl.len(), rec_clicks=pl.col("click").sum())
        .join(search.group_by("item_id").agg(search=pl.len()), on="item_id", how="full", coalesce=True)
        .fill_null(0)
    )
    # A search counts its clicked items once, however often a row is repeated.
    sessions = _collect(
        search.group_by("user_id", "search_session_id", "timestamp", "keyword")
        .agg(rows=pl.len(), clicks=pl.col("item_id").filter(pl.col("click_cnt") > 0).n_unique())
        .with_columns(words=pl.col("keyword").str.count_matches(",") + 1)
    )
    batches = _collect(rec.group_by("user_id", "timestamp").agg(rows=pl.len()))
    features = _scan(log_dir, "item_features.csv")
    figures = {
        **_row_figures(rec_all, search_all, users),
        **_item_figures(items, features),
        **_search_figures(sessions, len(users), features),
    }
    clicked = sessions.filter(pl.col("clicks") > 0)
    levels = _scan(log_dir, "user_features.csv").unique("user_id").collect().join(users, on="user_id")
    return Marginals(
        figures,
        users,
        _popularity(items),
        _sizes(clicked["clicks"], "clicks", "searches"),
        _sizes(sessions["words"], "words", "searches"),
        _sizes(batches["rows"], "rows", "batches"),
        _transitions(batches, sessions),
        *(_levels(levels, name) for name in ("reco_active_level", "search_active_level")),
    )


def _scan(log_dir: str | Path, table: str) -> pl.LazyFrame:
    paths = [
        path
        for pattern in (table, f"{table}.gz", f"*/{table}", f"*/{table}.gz")
        for path in sorted(Path(log_dir).glob(pattern))
    ]
    if not paths:
        raise FileNotFoundError(f"{log_dir} should hold {table} or {table}.gz, or a directory of them a day.")
    return pl.scan_csv(paths, infer_schema_length=1000, glob=False)


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _row_figures(rec: pl.LazyFrame, search: pl.LazyFrame, users: pl.DataFrame) -> dict[str, float]:
    bad = pl.any_horizontal(pl.all().is_null()).sum().alias("bad")
    of_rec = _collect(rec.select(pl.len(), pl.col("click").sum(), bad)).row(0, named=True)
    of_search = _collect(search.select(pl.len(), bad)).row(0, named=True)
    total = of_rec["len"] + of_search["len"]
    return {
        "rows": total,
        "users": len(users),
        "bad rows": (of_rec["bad"] + of_search["bad"]) / total,
        "R rows a user": of_rec["len"] / len(users),
        "S rows a user": of_search["len"] / len(users),
        "S share of rows": of_search["len"] / total,
        "R clicks a user": of_rec["click"] / len(users),
        "R rows without a click": 1 - of_rec["click"] / of_rec["len"],
    }


def _item_figures(items: pl.DataFrame, features: pl.LazyFrame) -> dict[str, float]:
    in_rec, in_search, clicked = (items.filter(pl.col(name) > 0) for name in ("rec", "search", "rec_clicks"))
    both = len(items.filter((pl.col("rec") > 0) & (pl.col("search") > 0)))
    described = _collect(features.select(pl.col("item_id").n_unique()))
    categories = _collect(features.select(pl.col("first_level_category_id", "second_level_category_id").n_unique()))
    return {
        "rows a distinct R item": int(in_rec["rec"].sum()) / len(in_rec),
        "rows a distinct S item": int(in_search["search"].sum()) / len(in_search),
        "clicked R items clicked once or twice": len(clicked.filter(pl.col("rec_clicks") <= 2)) / len(clicked),
        "items in R and S, of all": both / len(items),
        "items in R and S, of S": both / len(in_search),
        "items without features": 1 - described.item() / len(items),
        "first-level categories": categories[0, 0],
        "second-level categories": categories[0, 1],
    }


def _search_figures(sessions: pl.DataFrame, users: int, features: pl.LazyFrame) -> dict[str, float]:
    clicked = sessions.filter(pl.col("clicks") > 0)
    clicks = int(clicked["clicks"].sum())
    captions = _words(features.select(words="caption"))
    queries = sessions.lazy().select(words="keyword")
    shared = _collect(_words(queries).join(captions, on="words", how="semi").select(pl.len())).item()
    return {
        "searches a user": len(sessions) / users,
        "results a search": int(sessions["rows"].sum()) / len(sessions),
        "searches with a click": len(clicked) / len(sessions),
        "clicks a search with one": clicks / len(clicked),
        "S clicks a user": clicks / users,
        "distinct queries a user": sessions["keyword"].n_unique() / users,
        "words a query": float(sessions["words"].mean()),  # type: ignore[arg-type]
        "query words in captions": shared / _collect(_words(queries).select(pl.len())).item(),
    }


def _words(texts: pl.LazyFrame) -> pl.LazyFrame:
    return texts.select(pl.col("words").unique().str.strip_chars("[]").str.split(", ")).explode("words").unique()


def _popularity(items: pl.DataFrame) -> pl.DataFrame:
    counts = pl.DataFrame({"times": pl.Series([], dtype=pl.UInt32)})
    for name in ("rec", "rec_clicks", "search"):
        of_one = (
            items.filter(pl.col(name) > 0)
            .group_by(pl.col(name).cast(pl.UInt32).alias("times"))
            .agg(pl.len().alias(name))
        )
        counts = counts.join(of_one, on="times", how="full", coalesce=True)
    return counts.fill_null(0).sort("times")


def _sizes(values: pl.Series, name: str, counted: str) -> pl.DataFrame:
    return values.rename(name).value_counts(name=counted).sort(name)


def _transitions(batches: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    requests = pl.concat(
        [
            batches.select("user_id", pl.col("timestamp").cast(pl.Int64), kind=pl.lit("R")),
            sessions.select("user_id", pl.col("timestamp").cast(pl.Int64), kind=pl.lit("S")),
        ]
    ).sort("user_id", "timestamp")
    before = requests.select(pl.all().shift(1).name.suffix("_before"))
    pairs = pl.concat([requests, before], how="horizontal").filter(
        pl.col("user_id") == pl.col("user_id_before"),
        pl.col("timestamp") - pl.col("timestamp_before") <= REQUEST_GAP_MS,
    )
    return (
        pairs.group_by(pair=pl.concat_str("kind_before", "kind", separator=">"))
        .agg(share=pl.len() / len(pairs))
        .sort("pair")
    )


def _levels(users: pl.DataFrame, level: str) -> pl.DataFrame:
    return (
        users.group_by(pl.col(level).alias("level"))
        .agg(
            rec=pl.col("rec").mean() / users["rec"].mean(),
            search=pl.col("search").mean() / users["search"].mean(),
            users=pl.len(),
        )
        .sort("level")
    )
