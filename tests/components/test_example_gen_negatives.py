"""Item pool, draws and candidates: distinct, seeded, none of the user's own, the same whoever draws them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen import stable_hash
from components.example_gen.candidates import draw_candidates
from components.example_gen.item_pool import COUNTS_SCHEMA, ItemPool, count_items, merge_counts, sample_items
from components.example_gen.negatives import Own, Wanted, draw
from components.example_gen.splits import Cuts, split_timelines
from components.example_gen.timeline import build_timelines
from tests.support.log_frames import click, frames, random_log, settings_of


def pool_of(clicks, first=None):
    items = [f"i{n:04d}" for n in range(len(clicks))]
    return ItemPool.of(
        pl.DataFrame(
            {"item": items, "clicks": clicks, "first": first or list(range(len(clicks))), "found": [0] * len(clicks)},
            schema=COUNTS_SCHEMA,
        )
    )


def wanted_of(pool, requests, excluded=(), available=None, seed=0, target=-1):
    """All of one user, 3; user 2 clicked everything, and user 3 also something later."""
    own = sorted(
        [(2, place, 0) for place in range(pool.items.len())]
        + [(3, place, 5) for place in excluded]
        + [(3, place, 7) for place in range(pool.items.len()) if place not in excluded]
    )
    users, taken, first = np.array(own).T
    return Wanted(
        stable_hash.mix(seed, np.arange(requests)),
        np.full(requests, pool.items.len() if available is None else available),
        np.full(requests, 3),
        np.full(requests, target),
        np.full(requests, 5),
        Own(users, taken, first),
    )


def test_splitmix64_is_the_published_one():
    """First numbers of the reference generator with seed 0 (Vigna, splitmix64.c): state = n * golden."""
    golden = 0x9E3779B97F4A7C15
    assert stable_hash.mix(0).item() == 0xE220A8397B1DCDAF
    assert stable_hash.mix(golden).item() == 0x6E789E6AA1B965F4
    assert 0 <= stable_hash.uniform(stable_hash.mix(np.arange(1000))).min() < 0.01


def test_strings_have_the_fingerprint_of_farmhash():
    import farmhash

    expected = [farmhash.fingerprint64(text) % ((1 << 63) - 1) for text in ("", "a", "item 17", "词")]
    assert stable_hash.of_strings(pl.Series(["", "a", "item 17", "词"])).tolist() == expected


def test_items_are_counted_over_batches_and_sampled_alike_in_parts():
    rng = np.random.default_rng(0)
    batches = [frames(random_log(rng, items=40)) for _ in range(5)]
    merged = merge_counts(count_items(*batch) for batch in batches)
    rows = [pl.concat(parts) for parts in zip(*batches, strict=True)]
    for item, clicks, first, found in merged.iter_rows():
        own = rows[0].filter(item=item)["timestamp"]
        assert (clicks, first) == (own.len(), own.min())
        assert found == rows[1].filter(item=item, clicked=True).height
    sample = set(sample_items(merged, 10, 7)["item"])
    assert len(sample) == 10
    half = merged.height // 2
    parts = pl.concat([sample_items(part, 10, 7) for part in (merged[half:], merged[:half])])
    assert set(sample_items(parts, 10, 7)["item"]) == sample != set(sample_items(merged, 10, 8)["item"])


def test_pool_is_in_order_of_first_clicks():
    pool = ItemPool.of(
        pl.DataFrame(
            {"item": ["b", "c", "a"], "clicks": [2, 4, 1], "first": [5, 3, 5], "found": [0, 0, 0]}, schema=COUNTS_SCHEMA
        )
    )
    assert (pool.items.to_list(), pool.cumulative_clicks.tolist()) == (["c", "a", "b"], [4, 5, 7])
    assert pool.places(pl.Series(["b", "zz", "c", "b"])).tolist() == [2, -1, 0, 2]


@pytest.mark.parametrize("by_popularity", [False, True])
@pytest.mark.parametrize("size", [130, 500])
def test_negatives_are_distinct_and_never_excluded(by_popularity, size):
    pool = pool_of([n % 7 + 1 for n in range(size)])
    drawn = draw(pool, wanted_of(pool, 50, range(20, 50)), 99, by_popularity)
    for row in drawn:
        assert len(set(row)) == 99
        assert not set(row) & set(range(20, 50))
        assert 0 <= row.min() and row.max() < size
    assert len({tuple(row) for row in drawn}) == 50


def test_a_pool_that_just_suffices_is_drawn_whole_and_a_smaller_one_not():
    pool = pool_of([1] * 10)
    assert set(draw(pool, wanted_of(pool, 1, [0, 9]), 8, True)[0]) == set(range(1, 9))
    assert draw(pool, wanted_of(pool, 2, [0, 9]), 9, True).tolist() == [[-1] * 9] * 2
    assert set(draw(pool, wanted_of(pool, 1, [0], available=5), 4, False)[0]) == {1, 2, 3, 4}
    assert draw(pool, wanted_of(pool, 1, available=0), 1, False).tolist() == [[-1]]


def test_one_item_that_dominates_does_not_stop_the_draw():
    pool = pool_of([10**12, *[1] * 200])
    assert len(set(draw(pool, wanted_of(pool, 1), 99, True)[0])) == 99


@pytest.mark.parametrize(("by_popularity", "expected"), [(True, [0.9, 0.09, 0.01]), (False, [1 / 3] * 3)])
def test_shares_of_the_first_draw(by_popularity, expected):
    pool = pool_of([90, 9, 1])
    first = draw(pool, wanted_of(pool, 4000), 1, by_popularity)[:, 0]
    # Five standard deviations of a share of 4,000 draws at the most.
    np.testing.assert_allclose(np.bincount(first, minlength=3) / 4000, expected, atol=0.04)


def test_exact_draws_weigh_alike():
    """The second of two draws, where the first is nearly always the item that dominates, needs the exact way."""
    pool = pool_of([10**9, 8, 2])
    drawn = draw(pool, wanted_of(pool, 3000), 2, True)
    assert (drawn[:, 0] == 0).mean() > 0.99
    np.testing.assert_allclose((drawn[drawn[:, 0] == 0, 1] == 1).mean(), 0.8, atol=0.04)


def pool_in(rows):
    return ItemPool.of(sample_items(merge_counts([count_items(*frames(rows))]), 1000, 0))


def candidates_of(rows, **values):
    chosen = settings_of(**{"num_negatives": 3, **values})
    timelines, _ = build_timelines(*frames(rows), chosen)
    return timelines, draw_candidates(timelines, split_timelines(timelines, None), pool_in(rows), chosen)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    avoid=st.sampled_from(["whole_log", "past", "none"]),
    existing=st.booleans(),
    popular=st.booleans(),
)
def test_no_negative_is_the_users_own_or_unborn(seed, avoid, existing, popular):
    """What was clicked in a search counts too, beyond the items that a request shows of it."""
    rows = random_log(np.random.default_rng(seed), users=4, rows=60, items=14)
    _, asked = candidates_of(
        rows,
        negatives_avoid=avoid,
        negatives_existing=existing,
        items_per_search=1,
        negative_sampling="popularity" if popular else "uniform",
    )
    clicks = [row for row in rows if "session" not in row]
    for _, user, time, item, candidates, label in asked.requests.iter_rows():
        assert candidates[label] == item
        negatives = set(candidates) - {item}
        assert len(negatives) == 3
        until = {"whole_log": 30, "past": time, "none": -1}[avoid]  # times are below 30
        own = {
            row["item"]
            for row in rows
            if row["user"] == user and row.get("clicked", True) and row["timestamp"] <= until
        }
        assert not negatives & own
        assert negatives <= {row["item"] for row in clicks if not existing or row["timestamp"] < time}


def test_past_clicks_are_candidates_where_nothing_is_avoided():
    """Of ten items all are the user's own: the other nine are drawn, and the target is not."""
    rows = [click(10 * n, n, f"i{n}") for n in range(10)]
    for avoid, kept in (("whole_log", 0), ("past", 0), ("none", 2)):
        _, asked = candidates_of(rows, negatives_avoid=avoid, num_negatives=9)
        assert (asked.requests.height, asked.set_aside.height) == (kept, 2 - kept)
    for *_, item, candidates, label in asked.requests.iter_rows():
        assert sorted(candidates) == [f"i{n}" for n in range(10)]
        assert candidates[label] == item


def test_a_target_that_the_pool_lacks_takes_no_other_item_away():
    rows = [click(10 * n, n, f"i{n}") for n in range(6)]
    chosen = settings_of(num_negatives=5, negatives_avoid="none")
    timelines, _ = build_timelines(*frames(rows), chosen)
    pool = pool_in(rows[:5])
    asked = draw_candidates(timelines, split_timelines(timelines, None), pool, chosen)
    assert asked.requests.select("split", "item").rows() == [("test", "i5")]
    assert set(asked.requests["candidates"][0]) == {f"i{n}" for n in range(6)}
    assert asked.set_aside.select("split", "item", "label").rows() == [("eval", "i4", -1)]


def test_a_users_candidates_do_not_depend_on_who_else_is_there():
    rows = random_log(np.random.default_rng(3), users=4, rows=120, items=14)
    _, together = candidates_of(rows)
    pool, chosen = pool_in(rows), settings_of(num_negatives=3)
    for user in ("u0", "u1", "u2", "u3"):
        timelines, _ = build_timelines(*frames([row for row in rows if row["user"] == user]), chosen)
        alone = draw_candidates(timelines, split_timelines(timelines, None), pool, chosen)
        assert alone.requests.equals(together.requests.filter(user=user))


def test_labels_are_spread_evenly():
    rows = random_log(np.random.default_rng(5), users=400, rows=6000, items=300, times=10_000)
    _, asked = candidates_of(rows)
    assert asked.requests.height > 700
    shares = np.bincount(asked.requests["label"], minlength=4) / asked.requests.height
    np.testing.assert_allclose(shares, 0.25, atol=0.08)
    assert asked.set_aside.is_empty()


@pytest.mark.slow
def test_a_user_of_a_hundred_thousand_events_takes_no_more_memory_than_events():
    """Each of ten thousand requests of one user sees all the others: pairs of these would be a thousand million."""
    count = 100_000
    clicks = pl.DataFrame(
        {
            "user": ["u"] * count,
            "item": [f"i{n % 70_000}" for n in range(count)],
            "timestamp": np.arange(count) // 5,
            "line": np.arange(count),
        }
    )
    everyone = pl.concat(
        [
            clicks,
            clicks.head(20_000).with_columns(
                user=pl.format("v{}", pl.col("line") % 4000), item=pl.format("j{}", "line")
            ),
        ]
    )
    chosen = settings_of(split="time")
    pool = ItemPool.of(sample_items(merge_counts([count_items(everyone, frames([])[1])]), 10**6, 0))
    timelines, _ = build_timelines(clicks, frames([])[1], chosen)
    split = split_timelines(timelines, Cuts(18_000, 19_000))
    asked = draw_candidates(timelines, split, pool, chosen)
    assert (asked.requests.height, asked.set_aside.height) == (10_000, 0)
    assert asked.requests["candidates"].list.eval(pl.element().str.starts_with("j")).list.sum().eq(99).all()
