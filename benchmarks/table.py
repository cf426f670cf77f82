"""A training step with few and with many items, and the memory that the table takes.

python -m benchmarks.table --threads 1
"""

import dataclasses
import resource

from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import SHAPE, SUPERVISED, USERS
from benchmarks.timing import time_in_turns
from benchmarks.training import ours
from tests.support.full_histories import random_timelines

FEW, MANY = 50_000, 5_000_000


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=8)
    machine = describe(args.threads)
    calls, peaks = {}, {}
    for items in (FEW, MANY):
        shape = dataclasses.replace(SHAPE, num_items=items)
        calls[f"{items:,}"] = ours(random_timelines(shape, USERS, 4), SUPERVISED, shape)
        for _ in range(3):
            calls[f"{items:,}"]()
        peaks[f"{items:,}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    timings = time_in_turns(calls, args.rounds)
    few, many = (timings[f"{items:,}"] for items in (FEW, MANY))
    grown = peaks[f"{MANY:,}"] - peaks[f"{FEW:,}"]
    tables = 3 * MANY * SHAPE.dim * 4 / 2**30
    rows = [("items", "seconds a step", "fastest", "peak memory of the process, GiB")]
    rows += [
        (name, f"{timing.median:.3f}", f"{timing.fastest:.3f}", f"{peaks[name]:.2f}")
        for name, timing in timings.items()
    ]
    rows.append(("table and both moments", "", "", f"{tables:.2f}"))
    detail = {
        "machine": machine,
        "seconds": {name: timing.median for name, timing in timings.items()},
        "peak_gib": peaks,
        "peak_growth_gib": grown,
        "table_and_moments_gib": tables,
    }
    report("table", many.over(few), "times the step at 50,000 items", "1.25 at the most", detail, rows)


if __name__ == "__main__":
    main()
