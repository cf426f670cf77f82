"""From all rows of some users to their Examples: what one worker does with one shard."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl

from components.example_gen.candidates import SCHEMA, Asked, draw_candidates, take_candidates
from components.example_gen.examples import request_examples, timeline_examples
from components.example_gen.item_pool import ItemPool
from components.example_gen.settings import LogSettings
from components.example_gen.splits import EVAL, TEST, TRAIN, Cuts, split_timelines
from components.example_gen.timeline import build_timelines


class ShardRows(NamedTuple):
    """All rows of the users of a shard, in any order: the two frames of `events`, and lines of imported candidates."""

    clicks: pl.DataFrame
    shown: pl.DataFrame
    candidates: pl.DataFrame


class ShardExamples(NamedTuple):
    """Serialized Examples by split, the candidates of all requests in the form of `candidates.SCHEMA`, and counts."""

    examples: dict[str, list[bytes]]
    candidates: pl.DataFrame
    counts: Counter[str]


def make_examples(rows: ShardRows, pool: ItemPool, cuts: Cuts | None, settings: LogSettings) -> ShardExamples:
    """Build timelines, split them, find candidates, serialize; the order of the rows makes no difference."""
    timelines, counts = build_timelines(rows.clicks, rows.shown, settings)
    split = split_timelines(timelines, cuts)
    train = timeline_examples(timelines, split)
    if not len(split.requests):
        asked = Asked(pl.DataFrame(schema=SCHEMA), split.requests, 0)
    elif settings.candidates_file:
        asked = take_candidates(timelines, split, rows.candidates)
    else:
        asked = draw_candidates(timelines, split, pool, settings)
    is_test = split.is_test[asked.kept]
    examples = {TRAIN: train}
    for name, mask in ((EVAL, ~is_test), (TEST, is_test)):
        chosen = asked.requests.filter(pl.Series(mask, dtype=pl.Boolean))
        examples[name] = request_examples(
            timelines, split, asked.kept[mask], chosen, (settings.rec_length, settings.search_length))
    counts.update(train_users=len(train), train_targets=int(split.is_target.sum()),
                  eval_requests=int(np.sum(~is_test)), test_requests=int(np.sum(is_test)),
                  without_history=split.without_history, without_candidates=asked.without)
    return ShardExamples(examples, asked.requests, counts)
