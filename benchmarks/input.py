"""Rows a second of the input pipeline alone: windows cut from timelines, negatives sampled.

python -m benchmarks.input --threads 1
"""

import tensorflow as tf

from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import BATCH, SHAPE, SUPERVISED, USERS
from benchmarks.timing import time_in_turns
from benchmarks.training import ours
from model.contract import CANDIDATES
from model.data.negatives import NegativeSampler
from model.data.targets import TargetOrder
from model.data.windows import TargetWindows
from model.training.unknown import with_unknown
from tests.support.full_histories import random_timelines


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=10)
    machine = describe(args.threads)
    timelines = random_timelines(SHAPE, USERS, 4)
    windows = TargetWindows(timelines, SHAPE)
    sample = NegativeSampler(
        timelines, SUPERVISED.negative_sampling, SUPERVISED.negatives_avoid, SUPERVISED.num_negatives, SUPERVISED.seed
    )
    order = TargetOrder(timelines.targets, BATCH, SUPERVISED.seed)
    done = iter(range(1_000_000))

    @tf.function(autograph=False)
    def make_batch(number: tf.Tensor, positions: tf.Tensor) -> list[tf.Tensor]:
        batch, _ = windows(positions)
        candidates, valid = sample(number, positions)
        batch = with_unknown({**batch, CANDIDATES: candidates}, SUPERVISED.unknown_rate, SUPERVISED.seed, number)
        return [*batch.values(), valid]

    def call() -> None:
        number = next(done)
        make_batch(tf.constant(number, tf.int64), tf.constant(order.batch(number)))[-1].numpy()

    timings = time_in_turns({"input pipeline": call, "whole step": ours(timelines, SUPERVISED)}, args.rounds)
    rows = [("", "rows a second", "best")]
    rows += [
        (name, f"{BATCH / timing.median:,.0f}", f"{BATCH / timing.fastest:,.0f}") for name, timing in timings.items()
    ]
    share = timings["input pipeline"].over(timings["whole step"])
    detail = {
        "machine": machine,
        "rows_a_second": {name: BATCH / timing.median for name, timing in timings.items()},
        "share_of_step": share,
    }
    report("input", BATCH / timings["input pipeline"].median, "rows a second", "never the bottleneck", detail, rows)


if __name__ == "__main__":
    main()
