"""Rows a second of the input pipeline alone: windows cut from timelines, negatives sampled.

python -m benchmarks.input --threads 1
"""

import tensorflow as tf

from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import BATCH, SHAPE, SUPERVISED, USERS
from benchmarks.timing import time_in_turns
from benchmarks.training import ours
from model.data.targets import TargetOrder
from model.lcr_ser import LcrSer
from model.training import supervised
from tests.support.full_histories import random_timelines


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=10)
    machine = describe(args.threads)
    timelines = random_timelines(SHAPE, USERS, 4)
    draw = tf.function(supervised.click_batches(LcrSer(SHAPE), SUPERVISED, timelines), autograph=False)
    order = TargetOrder(timelines.targets, BATCH, SUPERVISED.seed)
    done = iter(range(1_000_000))

    def call() -> None:
        number = next(done)
        _, weights = draw(tf.constant(number, tf.int64), tf.constant(order.batch(number)))
        weights.numpy()

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
