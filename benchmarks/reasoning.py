"""What K reasoning steps cost at inference, over the same model with K = 0.

python -m benchmarks.reasoning --threads 1
"""

import dataclasses

from benchmarks.machine import describe, parse
from benchmarks.operations import forward
from benchmarks.result import report
from benchmarks.sizes import SHAPE
from benchmarks.timing import time_in_turns
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from tests.support.full_histories import random_requests

BATCH, REQUESTS, CANDIDATES = 512, 2048, 100
PAPER = {0: 0.0, 1: 5.31, 2: 13.59, 3: 23.98, 4: 28.32, 5: 40.23}


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=15)
    machine = describe(args.threads)
    requests = random_requests(SHAPE, REQUESTS, CANDIDATES)
    calls = {
        str(steps): RankingEvaluator(LcrSer(dataclasses.replace(SHAPE, reasoning_steps=steps)), requests, BATCH).ranks
        for steps in PAPER
    }
    timings = time_in_turns(calls, args.rounds, warm_up=1)
    extra = {steps: 100 * (timings[str(steps)].over(timings["0"]) - 1) for steps in PAPER}
    fastest = {steps: 100 * (timings[str(steps)].fastest / timings["0"].fastest - 1) for steps in PAPER}
    counted = {
        steps: 100
        * (
            forward(dataclasses.replace(SHAPE, reasoning_steps=steps), CANDIDATES)
            / forward(dataclasses.replace(SHAPE, reasoning_steps=0), CANDIDATES)
            - 1
        )
        for steps in PAPER
    }
    rows = [("K", "seconds", "over K = 0", "by the fastest call", "by operations", "paper, Table 4 (A6000)")]
    rows += [
        (
            str(steps),
            f"{timings[str(steps)].median:.3f}",
            f"{extra[steps]:+.1f} %",
            f"{fastest[steps]:+.1f} %",
            f"{counted[steps]:+.1f} %",
            f"+{PAPER[steps]} %",
        )
        for steps in PAPER
    ]
    detail = {
        "machine": machine,
        "requests": REQUESTS,
        "candidates": CANDIDATES,
        "extra_percent": extra,
        "extra_percent_fastest": fastest,
        "extra_percent_by_operations": counted,
        "paper_percent": PAPER,
        "seconds": {steps: timings[str(steps)].median for steps in PAPER},
    }
    report("reasoning", extra[5], "% over K = 0 at K = 5", "under 10", detail, rows)


if __name__ == "__main__":
    main()
