"""From all rows of some users to their Examples: what one worker does with one shard."""

from typing import NamedTuple

import numpy as np
import polars as pl

from components.example_gen.candidates import SCHEMA, Asked, draw_candidates, take_candidates
from components.example_gen.examples import request_examples, timeline_examples
from components.example_gen.item_pool import ItemPool, count_items
from components.example_gen.settings import LogSettings
from components.example_gen.splits import EVAL, SPLITS, TEST, TRAIN, Cuts, Split, split_timelines
from components.example_gen.tally import NAMED, Tally, add
from components.example_gen.timeline import build_timelines, distinct_clicks
from components.example_gen.two_tables import compare_tables


class ShardRows(NamedTuple):
    """All rows of the users of a shard, in any order: the two frames of `events`, and lines of imported candidates."""

    clicks: pl.DataFrame
    shown: pl.DataFrame
    candidates: pl.DataFrame


class ShardExamples(NamedTuple):
    """Serialized Examples by split, the candidates of all requests in the form of `candidates.SCHEMA`, and figures."""

    examples: dict[str, list[bytes]]
    candidates: pl.DataFrame
    tally: Tally


def count_shard(rows: ShardRows, settings: LogSettings) -> pl.DataFrame:
    """Count the clicked items of a shard, repeated clicks as `settings` says, in the form of `COUNTS_SCHEMA`."""
    return count_items(distinct_clicks(rows.clicks, settings), rows.shown)


def make_examples(rows: ShardRows, pool: ItemPool, cuts: Cuts | None, settings: LogSettings) -> ShardExamples:
    """Build timelines, split them, find candidates, serialize; the order of the rows makes no difference."""
    clicks = distinct_clicks(rows.clicks, settings)
    timelines, counts = build_timelines(clicks, rows.shown, settings)
    split = split_timelines(timelines, cuts)
    train = timeline_examples(timelines, split)
    if not len(split.requests):
        asked = Asked(pl.DataFrame(schema=SCHEMA), split.requests, pl.DataFrame(schema=SCHEMA))
    elif settings.candidates_file:
        asked = take_candidates(timelines, split, rows.candidates)
    else:
        asked = draw_candidates(timelines, split, pool, settings)
    is_test = split.is_test[asked.kept]
    examples = {TRAIN: train}
    for name, mask in ((EVAL, ~is_test), (TEST, is_test)):
        chosen = asked.requests.filter(pl.Series(mask, dtype=pl.Boolean))
        examples[name] = request_examples(timelines, split, asked.kept[mask], chosen, settings)
    counts.update(repeated_clicks=rows.clicks.height - clicks.height, train_users=len(train))
    tally = add([Tally(counts, {}, {}), compare_tables(clicks, rows.shown), _of_clicks(split, asked)])
    return ShardExamples(examples, pl.concat([asked.requests, asked.set_aside]), tally)


def _of_clicks(split: Split, asked: Asked) -> Tally:
    """What became of clicks."""
    is_test = split.is_test[asked.kept]
    with_search = split.searches_before[split.requests[asked.kept]] > 0
    aside = asked.set_aside["user"].unique()
    counts = {f"{name}_clicks": int(np.sum(split.part == part)) for part, name in enumerate(SPLITS)}
    for part, name in ((1, EVAL), (2, TEST)):
        counts[f"{name}_without_history"] = int(np.sum(split.part[split.without_history] == part))
    counts |= {
        "train_targets": int(split.is_target.sum()),
        "train_search_targets": int(split.search_is_target.sum()),
        "eval_requests": int(np.sum(~is_test)),
        "test_requests": int(np.sum(is_test)),
        "test_requests_with_search": int(np.sum(is_test & with_search)),
        "clicks_after_another": int(np.sum(split.clicks_before > 0)),
        "without_candidates": asked.set_aside.height,
        "users_without_candidates": aside.len(),
        "missing_candidates": asked.missing,
    }
    return Tally(counts, {}, {"without_candidates": aside.bottom_k(NAMED).sort().to_list()})
