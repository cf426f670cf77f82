"""Small random logs, batches and models for the tests of model/."""

import functools

import numpy as np
import tensorflow as tf

from model.config import LcrSerConfig
from model.data.columns import offsets
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.lcr_ser import LcrSer

NUM_ITEMS = 42
CLUSTERS = 4
FIRST_TIME = 1_714_543_200_000


def small_config(**changes):
    values = dict(
        num_users=64,
        num_items=NUM_ITEMS,
        num_words=12,
        dim=8,
        num_heads=2,
        rec_length=6,
        search_length=5,
        words_per_search=4,
        items_per_search=3,
        mlp_units=(12, 6),
        dropout=0.0,
    )
    return LcrSerConfig(**{**values, **changes})


def random_logs(seed=0, users=60, candidates=20):
    """Users click and search within one of four clusters of items: item 2 + 4 j + c belongs to cluster c."""
    rng = np.random.default_rng(seed)
    clicks, searches = rng.integers(3, 15, users), rng.integers(0, 6, users)
    cluster = rng.integers(0, CLUSTERS, users)

    def item_of(c):
        return (2 + 4 * rng.integers(0, (NUM_ITEMS - 2) // 4, len(c)) + c).astype(np.int32)

    words, found = rng.integers(1, 4, searches.sum()), rng.integers(0, 3, searches.sum())
    of_search = np.repeat(cluster, searches)
    histories = dict(
        users=np.arange(2, users + 2, dtype=np.int32),
        rec_items=item_of(np.repeat(cluster, clicks)),
        rec_offsets=offsets(clicks),
        search_offsets=offsets(searches),
        search_words=(2 + np.repeat(of_search, words)).astype(np.int32),
        word_offsets=offsets(words),
        search_items=item_of(np.repeat(of_search, found)),
        item_offsets=offsets(found),
    )
    before = np.concatenate([np.sort(rng.integers(0, s + 1, c)) for c, s in zip(clicks, searches, strict=True)])
    place, search_place = (np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) for n in (clicks, searches))
    # Times are a second apart, in the order that `before` tells.
    of_user = np.split(before, np.cumsum(clicks)[:-1])
    clicks_before = np.array(
        [np.sum(own <= j) for own, s in zip(of_user, searches, strict=True) for j in range(s)], np.int32
    )
    histories |= dict(
        rec_times=FIRST_TIME + 1000 * (place + before), search_times=FIRST_TIME + 1000 * (search_place + clicks_before)
    )
    timelines = Timelines(
        **histories,
        rec_clicks_before=place.astype(np.int32),
        rec_searches_before=before.astype(np.int32),
        rec_is_target=np.ones(clicks.sum(), np.int32),
        search_clicks_before=clicks_before,
        search_searches_before=search_place.astype(np.int32),
        search_is_target=(found > 0).astype(np.int32),
    )
    negatives = rng.integers(2, NUM_ITEMS, (users, candidates)).astype(np.int32)
    label = rng.integers(0, candidates, users).astype(np.int32)
    negatives[np.arange(users), label] = item_of(cluster)
    return timelines, Requests(**histories, candidates=negatives, label=label)


def random_batch(config, size=5, candidates=7, seed=0):
    """A ragged model batch: full, short and empty histories, searches without words or without clicks.

    Times never fall from event to event; some are equal, of a click and a search too.
    """
    rng = np.random.default_rng(seed)
    batch = {
        "user": rng.integers(1, config.num_users, size),
        "rec_items": rng.integers(1, config.num_items, (size, config.rec_length)),
        "search_words": rng.integers(1, config.num_words, (size, config.search_length, config.words_per_search)),
        "search_items": rng.integers(1, config.num_items, (size, config.search_length, config.items_per_search)),
        "candidates": rng.integers(2, config.num_items, (size, candidates)),
    }
    for row in range(size):
        batch["rec_items"][row, : (0, config.rec_length, 3, config.rec_length, 1)[row % 5]] = 0
        empty = (0, config.search_length, config.search_length, 2, 1)[row % 5]
        for column in range(config.search_length):
            words = 0 if column < empty else rng.integers(0, config.words_per_search + 1)
            clicks = 0 if column < empty else rng.integers(1 if not words else 0, config.items_per_search + 1)
            batch["search_words"][row, column, words:] = 0
            batch["search_items"][row, column, clicks:] = 0
    batch = {name: value.astype(np.int32) for name, value in batch.items()}
    # Drawn apart: what else a seed gives does not depend on it.
    rng = np.random.default_rng([seed, 1])
    for name, real in (
        ("rec_times", batch["rec_items"] != 0),
        ("search_times", (batch["search_words"] != 0).any(2) | (batch["search_items"] != 0).any(2)),
    ):
        batch[name] = np.where(real, FIRST_TIME + 1000 * np.sort(rng.integers(0, 2 * real.shape[1], real.shape), 1), 0)
    return batch


def randomise(model, seed=0):
    """Sets every weight to noise, so that no bias and no learned vector is zero."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    return model


def random_config(seed):
    """Random sizes; the first 12 seeds hold every K from 0 to 3 and both ways of every switch."""
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 4))
    lengths = ("rec_length", "search_length", "words_per_search", "items_per_search")
    return small_config(
        dim=heads * int(rng.integers(2, 5)),
        num_heads=heads,
        **{name: int(rng.integers(1, 6)) for name in lengths},
        mlp_units=tuple(rng.integers(2, 9, rng.integers(0, 4)).tolist()),
        reasoning_steps=seed % 4,
        post_norm=seed // 4 % 2 == 0,
        aggregation=("target", "mean")[seed // 8 % 2],
        literal_eq5=bool((seed // 8 + seed) % 2),
    )


def tensors(batch):
    """A batch of arrays as the model takes it."""
    return {name: tf.constant(value) for name, value in batch.items()}


@functools.cache
def random_model(**changes):
    """A model with noise for weights; tests share it, so that none may change it."""
    return randomise(LcrSer(small_config(**changes)))
