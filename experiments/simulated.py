"""A simulated log as arrays of the model, and which searches of each held-out request bear on its target.

It reads the log by itself, for Examples carry no ids of searches, and the truth is told by them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from model.contract import FIRST_KNOWN_ID
from model.data.columns import Array, offsets
from model.data.requests import Requests
from model.data.timelines import Timelines

HELD_OUT = 4
"""Last clicks of a user: the first of them evaluates during training, the others test."""
NEGATIVES = 99


class Simulated(NamedTuple):
    """A log.

    Attributes:
        timelines, eval_requests, test_requests: as the model takes them.
        relevant: for each test request and each of its searches, oldest first, whether it bears on the target; as
            flat as `test_requests.search_words`' searches, `[sum of searches]`.
        sizes: `num_users`, `num_items`, `num_words` of `LcrSerConfig`.
    """

    timelines: Timelines
    eval_requests: Requests
    test_requests: Requests
    relevant: Array
    sizes: dict[str, int]


class _Events(NamedTuple):
    users: int
    clicks: pl.DataFrame  # user, item, timestamp, in order
    searches: pl.DataFrame  # user, timestamp, session, words, items, in order
    sizes: dict[str, int]


def read(log_dir: Path, seed: int) -> Simulated:
    """Read a log of `lcr-ser simulate`, gzipped or not, without spans.

    Negatives are uniform over clicked items that the user never clicked, drawn with `seed`. The training part of a
    user ends before the first held-out click; users with too few clicks are trained on whole.
    """
    events = _read_events(log_dir)
    user, searcher = (events.clicks["user"].to_numpy(), events.searches["user"].to_numpy())
    time, search_time = (frame["timestamp"].to_numpy() for frame in (events.clicks, events.searches))
    ends = offsets(np.bincount(user, minlength=events.users))
    search_ends = offsets(np.bincount(searcher, minlength=events.users))
    # Places of the first searches and clicks that are not strictly earlier than each click, and than each search.
    first = time.min()
    scale = 1 << 40  # above the milliseconds of any log
    own, searched = (who * scale + when - first for who, when in ((user, time), (searcher, search_time)))
    before, clicks_before = (np.searchsorted(keys, own) for keys in (searched, own))
    search_before = [np.searchsorted(keys, searched) for keys in (searched, own)]
    counts = np.diff(ends)
    kept = np.where(counts > HELD_OUT, counts - HELD_OUT, counts)
    timelines = _timelines(events, ends, search_ends, before, clicks_before, kept, search_before)
    asked = np.flatnonzero(counts > HELD_OUT)
    targets = ends[1:][asked, None] - HELD_OUT + np.arange(HELD_OUT)
    rng = np.random.default_rng(seed)
    eval_requests, test_requests = (
        _requests(events, part.ravel(), ends, search_ends, before, clicks_before, rng)
        for part in (targets[:, :1], targets[:, 1:])
    )
    relevant = _relevant(log_dir, events, targets[:, 1:].ravel(), search_ends, before)
    return Simulated(timelines, eval_requests, test_requests, relevant, events.sizes)


def _read_events(log_dir: Path) -> _Events:
    rec, search = (_scan(log_dir, name) for name in ("rec_inter.csv", "src_inter.csv"))
    clicks = rec.filter(pl.col("click") > 0).select("user_id", "item_id", pl.col("timestamp").cast(pl.Int64)).collect()
    clicked = pl.col("item_id").filter(pl.col("click_cnt") > 0).unique(maintain_order=True)
    searches = (
        search.group_by("user_id", "search_session_id", "search_session_timestamp", maintain_order=True)
        .agg(
            pl.col("keyword").first().str.strip_chars("[]").str.split(", ").alias("words"),
            clicked.alias("items"),
        )
        .sort("user_id", "search_session_timestamp")
        .collect()
    )
    ids = {
        name: values.unique().sort()
        for name, values in (
            ("users", pl.concat([clicks["user_id"], searches["user_id"]])),
            ("items", pl.concat([clicks["item_id"], searches["items"].explode().drop_nulls()])),
            ("words", searches["words"].explode()),
        )
    }
    to = {name: dict(zip(values, range(len(values)), strict=True)) for name, values in ids.items()}
    user = pl.col("user_id").replace_strict(to["users"]).alias("user")
    item = pl.element().replace_strict(to["items"]) + FIRST_KNOWN_ID
    word = pl.element().replace_strict(to["words"]) + FIRST_KNOWN_ID
    return _Events(
        len(ids["users"]),
        clicks.select(
            user,
            (pl.col("item_id").replace_strict(to["items"]) + FIRST_KNOWN_ID).alias("item"),
            "timestamp",
            "user_id",
            "item_id",
        ),
        searches.select(
            user,
            pl.col("search_session_timestamp").alias("timestamp"),
            pl.col("search_session_id").alias("session"),
            pl.col("words").list.eval(word),
            pl.col("items").list.eval(item),
        ),
        {f"num_{name}": len(values) + FIRST_KNOWN_ID for name, values in ids.items()},
    )


def _scan(log_dir: Path, name: str) -> pl.LazyFrame:
    return pl.scan_csv(next(log_dir.glob(f"{name}*")))


def _timelines(  # noqa: PLR0917 - one call
    events: _Events,
    ends: Array,
    search_ends: Array,
    before: Array,
    clicks_before: Array,
    kept: Array,
    search_before: list[Array],
) -> Timelines:
    at = _ranges(ends[:-1], kept)
    # A user's searches before the last click that is trained on, and those up to the first held out.
    next_click = np.minimum(ends[:-1] + kept, len(before) - 1)
    held_out = ends[:-1] + kept < ends[1:]
    searches = np.where(held_out, before[next_click], search_ends[1:]) - search_ends[:-1]
    seen = before[at] - np.repeat(search_ends[:-1], kept)
    seen_clicks = clicks_before[at] - np.repeat(ends[:-1], kept)
    searches_of = _searches(events, search_ends[:-1], searches)
    searched_at = _ranges(search_ends[:-1], searches)
    search_searches, search_clicks = (
        (places[searched_at] - np.repeat(begins[:-1], searches)).astype(np.int32)
        for places, begins in zip(search_before, (search_ends, ends), strict=True)
    )
    return Timelines(
        users=np.arange(events.users, dtype=np.int32) + FIRST_KNOWN_ID,
        rec_items=events.clicks["item"].to_numpy()[at].astype(np.int32),
        rec_times=events.clicks["timestamp"].to_numpy()[at],
        rec_offsets=offsets(kept),
        **searches_of,
        rec_clicks_before=seen_clicks.astype(np.int32),
        rec_searches_before=seen.astype(np.int32),
        rec_is_target=(seen_clicks + seen > 0).astype(np.int32),
        search_clicks_before=search_clicks,
        search_searches_before=search_searches,
        search_is_target=(np.diff(searches_of["item_offsets"]) > 0).astype(np.int32),
    )


def _requests(  # noqa: PLR0917 - one call
    events: _Events,
    targets: Array,
    ends: Array,
    search_ends: Array,
    before: Array,
    clicks_before: Array,
    rng: np.random.Generator,
) -> Requests:
    user, item, time = (events.clicks[name].to_numpy() for name in ("user", "item", "timestamp"))
    owner = user[targets]
    history = clicks_before[targets] - ends[owner]
    seen = _ranges(ends[owner], history)
    return Requests(
        users=(owner + FIRST_KNOWN_ID).astype(np.int32),
        rec_items=item[seen].astype(np.int32),
        rec_times=time[seen],
        rec_offsets=offsets(history),
        **_searches(events, search_ends[owner], before[targets] - search_ends[owner]),
        **_candidates(events, owner, item[targets], rng),
    )


def _searches(events: _Events, begins: Array, counts: Array) -> dict[str, Array]:
    at = _ranges(begins, counts)
    found = {"search_offsets": offsets(counts), "search_times": events.searches["timestamp"].to_numpy()[at]}
    for column, name, place in (("words", "search_words", "word_offsets"), ("items", "search_items", "item_offsets")):
        lists = events.searches[column]
        lengths = lists.list.len().to_numpy().astype(np.int64)
        values = lists.explode().drop_nulls().to_numpy()
        found[name] = values[_ranges((np.cumsum(lengths) - lengths)[at], lengths[at])].astype(np.int32)
        found[place] = offsets(lengths[at])
    return found


def _candidates(events: _Events, owner: Array, positive: Array, rng: np.random.Generator) -> dict[str, Array]:
    # Drawn in excess, then the first 99 that are distinct and that the user never clicked, by the order of drawing.
    pool = events.clicks["item"].unique().sort().to_numpy()
    size = events.sizes["num_items"]
    searched = events.searches.select("user", pl.col("items").alias("item")).explode("item").drop_nulls()
    clicked = np.unique(
        np.r_[
            (events.clicks["user"] * size + events.clicks["item"]).to_numpy(),
            (searched["user"] * size + searched["item"]).to_numpy(),
        ]
    )
    drawn = pool[rng.integers(len(pool), size=(len(owner), 4 * NEGATIVES))]
    pair = owner[:, None] * size + drawn
    place = np.minimum(np.searchsorted(clicked, pair), len(clicked) - 1)
    order = np.argsort(drawn, axis=1, kind="stable")
    ordered = np.take_along_axis(drawn, order, 1)
    repeats = np.zeros(drawn.shape, bool)
    np.put_along_axis(repeats, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    refused = repeats | (clicked[place] == pair)
    if ((~refused).sum(1) < NEGATIVES).any():
        raise ValueError(f"A log should leave {NEGATIVES} items that a user never clicked. Received: fewer.")
    chosen = np.take_along_axis(drawn, np.argsort(refused, axis=1, kind="stable")[:, :NEGATIVES], 1)
    label = rng.integers(NEGATIVES + 1, size=len(owner))
    candidates = np.empty((len(owner), NEGATIVES + 1), np.int32)
    column = np.arange(NEGATIVES)[None]
    np.put_along_axis(candidates, column + (column >= label[:, None]), chosen.astype(np.int32), 1)
    candidates[np.arange(len(owner)), label] = positive
    return {"candidates": candidates, "label": label.astype(np.int32)}


def _relevant(log_dir: Path, events: _Events, targets: Array, search_ends: Array, before: Array) -> Array:
    asked = events.clicks[targets].with_row_index("request").select("request", "user_id", "item_id", "timestamp")
    truth = (
        _scan(log_dir / "truth", "relevant_searches.csv").collect().join(asked, on=["user_id", "item_id", "timestamp"])
    )
    session = (
        truth.select("request", pl.col("search_session_ids").str.strip_chars("[]").str.split(", ").alias("session"))
        .explode("session")
        .with_columns(pl.col("session").cast(pl.Int64))
    )
    place = session.join(events.searches.with_row_index("place").select("session", "place"), on="session")
    owner = events.clicks["user"].to_numpy()[targets]
    counts = before[targets] - search_ends[owner]
    request = place["request"].to_numpy()
    relevant = np.zeros(int(counts.sum()), bool)
    relevant[offsets(counts)[request] + place["place"].to_numpy() - search_ends[owner[request]]] = True
    return relevant


def _ranges(begins: Array, counts: Array) -> Array:
    """Indices `begin, begin + 1, ...`, so many of each: flat."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - begins, counts)
