"""Requests of 1 + 99 candidates that are ranked a second: ours and the plain version.

python -m benchmarks.evaluation --threads 1
"""

import tensorflow as tf

from benchmarks import operations
from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import SHAPE
from benchmarks.timing import time_in_turns
from benchmarks.training import RATE_OF_TARGET
from model.data.windows import RequestWindows
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from model.objectives.metrics import pessimistic_rank
from model.plain import PlainLcrSer
from tests.support.full_histories import random_requests

BATCH, REQUESTS, CANDIDATES = 512, 4096, 100
TARGET = 6000
LITERATURE = {"UniSAR, released code, Amazon constants, one thread of another machine (literature)": 318}


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=5)
    machine = describe(args.threads)
    requests = random_requests(SHAPE, REQUESTS, CANDIDATES)
    evaluator = RankingEvaluator(LcrSer(SHAPE), requests, BATCH)
    plain, windows = PlainLcrSer(SHAPE), RequestWindows(requests, SHAPE)

    @tf.function(autograph=False)
    def rank(rows: tf.Tensor) -> tf.Tensor:
        batch, label = windows(rows)
        return pessimistic_rank(plain(batch)[0], label)

    def plain_ranks() -> None:
        for begin in range(0, REQUESTS, BATCH):
            rank(tf.range(begin, begin + BATCH)).numpy()

    timings = time_in_turns({"ours": evaluator.ranks, "plain Keras": plain_ranks}, args.rounds, warm_up=1)
    count = operations.forward(SHAPE, CANDIDATES)
    floor = machine["matmul_gflops"] * 1e9 / count
    rates = {name: REQUESTS / timing.median for name, timing in timings.items()}
    rows = [("", "requests a second", "best", "of the floor")]
    rows += [
        (name, f"{rates[name]:,.0f}", f"{REQUESTS / timing.fastest:,.0f}", f"{rates[name] / floor:.0%}")
        for name, timing in timings.items()
    ]
    rows.append(
        (
            f"the target, set on a machine of {RATE_OF_TARGET} GFLOP/s",
            f"{TARGET:,}",
            "",
            f"{TARGET * count / (RATE_OF_TARGET * 1e9):.0%}",
        )
    )
    rows += [(name, f"{rate:,}", "", "") for name, rate in LITERATURE.items()]
    detail = {
        "machine": machine,
        "operations_a_row": count,
        "floor_rows_a_second": floor,
        "rows_a_second": rates,
        "ratio_to_plain": timings["plain Keras"].over(timings["ours"]),
        "literature": LITERATURE,
    }
    report("evaluation", rates["ours"], "requests a second", f"{TARGET:,} on one thread", detail, rows)


if __name__ == "__main__":
    main()
