"""What a worker holds and moves stays small however large the log is."""

import numpy as np
import polars as pl
import pytest

from components.example_gen.events import CLICKS_SCHEMA, Events, no_shown
from components.example_gen.flow import _Sample
from components.example_gen.item_pool import COUNTS_SCHEMA, sample_items
from components.example_gen.settings import LogSettings
from components.example_gen.shards import deal, gather, pack, unpack


def _batches(rows, batches):
    """Clicks in an order of time: each batch has all users."""
    frame = pl.DataFrame(
        {
            "user": [f"u{n % 997}" for n in range(rows)],
            "item": [f"i{n % 89}" for n in range(rows)],
            "timestamp": np.arange(rows),
            "line": np.arange(rows),
        },
        schema_overrides={name: kind for name, kind in CLICKS_SCHEMA.items()},
    ).select(CLICKS_SCHEMA.names())
    size = rows // batches
    return [Events(frame[n * size : (n + 1) * size], no_shown()) for n in range(batches)]


@pytest.mark.parametrize(("shards", "most"), [(1, 1), (40, 1 << 30), (40, 1 << 18)])
def test_gathered_batches_hold_the_same_rows_in_order_and_no_more_than_they_may(shards, most):
    batches = _batches(40_000, 40)
    gathered = list(gather(iter(batches), shards, most))
    assert pl.concat([one.clicks for one in gathered]).equals(pl.concat([one.clicks for one in batches]))
    batch = max(one.clicks.estimated_size() for one in batches)
    for one in gathered[:-1]:
        size = one.clicks.estimated_size()
        assert min(most, shards << 16) <= size <= min(most, shards << 16) + batch
    assert list(gather([], shards, most)) == []


def test_bytes_of_an_event_do_not_grow_with_the_log():
    """Twice the log has twice the batches and twice the shards, but not four times the parts."""

    def parts(scale):
        return [
            part
            for batch in gather(_batches(100_000 * scale, 20 * scale), 50 * scale, 1 << 26)
            for _, part in deal(batch.clicks, "user", 50 * scale)
        ]

    one, two = parts(1), parts(2)
    assert len(two) <= 2.2 * len(one)
    assert sum(map(len, two)) <= 2.2 * sum(map(len, one))


def test_the_pool_is_sampled_again_before_many_samples_are_held():
    settings = LogSettings(log_dir="-", max_pool_items=120, seed=3)
    counts = pl.DataFrame(
        {"item": [f"i{n}" for n in range(5000)], "clicks": 1, "first": 0, "found": 0}, schema=COUNTS_SCHEMA
    )
    combine, held = _Sample(settings), []
    accumulator = combine.create_accumulator()
    for part in range(50):
        sample = sample_items(counts[part * 100 : (part + 1) * 100], 120, 3)
        accumulator = combine.add_input(accumulator, pack(sample))
        held.append(unpack(accumulator, COUNTS_SCHEMA).height)
    assert max(held) <= 9 * 120
    merged = combine.merge_accumulators([accumulator, combine.create_accumulator(), accumulator[:1]])
    assert len(merged) <= 9
    found = unpack([combine.extract_output(accumulator)], COUNTS_SCHEMA)
    assert set(found["item"]) == set(sample_items(counts, 120, 3)["item"])
