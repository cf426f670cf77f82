"""Random logs of given sizes, for benchmarks: every history is full, so that no row is cheaper than another."""

import numpy as np

from model.config import LcrSerConfig
from model.contract import FIRST_KNOWN_ID
from model.data.columns import Array, offsets
from model.data.requests import Requests
from model.data.timelines import Timelines


def random_timelines(config: LcrSerConfig, users: int, targets_per_user: int, seed: int = 0) -> Timelines:
    """A training log whose targets have Lr clicks and Ls searches before them.

    A search has 1 to W words and 0 to M clicked items; ids are uniform, which repeats them least and is the worst case
    of the lookups. All searches come before all clicks.
    """
    clicks = np.full(users, config.rec_length + targets_per_user)
    is_target = np.tile(np.arange(clicks[0]) >= config.rec_length, users)
    histories = _histories(config, clicks, seed)
    return Timelines(
        **histories,
        rec_clicks_before=np.tile(np.arange(clicks[0], dtype=np.int32), users),
        rec_searches_before=np.full(clicks.sum(), config.search_length, np.int32),
        rec_is_target=is_target.astype(np.int32),
        search_clicks_before=np.zeros(users * config.search_length, np.int32),
        search_searches_before=np.tile(np.arange(config.search_length, dtype=np.int32), users),
        search_is_target=(np.diff(histories["item_offsets"]) > 0).astype(np.int32),
    )


def random_requests(config: LcrSerConfig, count: int, candidates: int, seed: int = 0) -> Requests:
    """Evaluation requests with Lr clicks and Ls searches."""
    rng = np.random.default_rng(seed)
    return Requests(
        **_histories(config, np.full(count, config.rec_length), seed),
        candidates=_ids(rng, config.num_items, count * candidates).reshape(count, candidates),
        label=rng.integers(0, candidates, count).astype(np.int32),
    )


def _histories(config: LcrSerConfig, clicks: Array, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    rows, searches = len(clicks), len(clicks) * config.search_length
    words = rng.integers(1, config.words_per_search + 1, searches)
    items = rng.integers(0, config.items_per_search + 1, searches)
    return {
        "users": _ids(rng, config.num_users, rows),
        "rec_items": _ids(rng, config.num_items, int(clicks.sum())),
        "rec_offsets": offsets(clicks),
        "search_offsets": offsets(np.full(rows, config.search_length)),
        "search_words": _ids(rng, config.num_words, int(words.sum())),
        "word_offsets": offsets(words),
        "search_items": _ids(rng, config.num_items, int(items.sum())),
        "item_offsets": offsets(items),
        "rec_times": config.search_length + _places(clicks),
        "search_times": _places(np.full(rows, config.search_length)),
    }


def _places(counts: Array) -> Array:
    return np.concatenate([np.arange(count, dtype=np.int64) for count in counts])


def _ids(rng: np.random.Generator, rows: int, count: int) -> Array:
    return rng.integers(FIRST_KNOWN_ID, rows, count, dtype=np.int32)
