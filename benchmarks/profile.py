"""Where the time of a training step goes, by operation, for both stages.

python -m benchmarks.profile --threads 1          # with --jit, of steps that XLA compiles
"""

import collections
import dataclasses

from rich.console import Console
from rich.table import Table

from benchmarks import trace
from benchmarks.grpo import ROWS, make_steps
from benchmarks.machine import parse
from benchmarks.sizes import SHAPE, SUPERVISED, USERS
from benchmarks.training import ours
from tests.support.full_histories import random_timelines

STEPS, LINES, WARM_UP = 4, 14, 3


def main() -> None:
    """Profiles and prints."""
    args = parse(__doc__, rounds=STEPS)
    timelines = random_timelines(SHAPE, USERS, 4)
    _, reinforced = make_steps(timelines, args.jit)
    stages = {
        f"supervised, {SUPERVISED.batch_size:,} rows": ours(
            timelines, dataclasses.replace(SUPERVISED, jit_compile=args.jit)
        ),
        f"GRPO, {ROWS} rows of 8 trajectories": reinforced,
    }
    for title, step in stages.items():
        for _ in range(WARM_UP):
            step()
        space, _ = trace.record(step, args.rounds)
        Console().print(_table(title, trace.operations(space), args.rounds))


def _table(title: str, found: dict[tuple[str, str], list[float]], steps: int) -> Table:
    by_kind: dict[str, list[float]] = collections.defaultdict(list)
    slowest: dict[str, tuple[float, str]] = {}
    for (kind, name), times in found.items():
        by_kind[kind] += times
        slowest[kind] = max(slowest.get(kind, (0.0, "")), (sum(times), name))
    total = sum(map(sum, by_kind.values()))
    table = Table(
        "operation",
        "ms a step",
        "share",
        "times a step",
        "its slowest one",
        title=f"{title}: {total / steps:,.0f} ms a step",
        title_justify="left",
    )
    executed, of_optimizer = trace.count(found, steps)
    table.add_row("all", f"{total / steps:,.1f}", "", f"{executed:,}", "")
    table.add_row("of these the optimizer's", "", "", f"{of_optimizer:,}", "", end_section=True)
    ordered = sorted(by_kind.items(), key=lambda item: -sum(item[1]))
    for kind, times in ordered[:LINES]:
        spent, name = slowest[kind]
        table.add_row(
            kind,
            f"{sum(times) / steps:,.1f}",
            f"{sum(times) / total:.1%}",
            f"{len(times) // steps:,}",
            f"{name} ({spent / steps:,.1f} ms)",
        )
    rest = [time for _, times in ordered[LINES:] for time in times]
    table.add_row("all others", f"{sum(rest) / steps:,.1f}", f"{sum(rest) / total:.1%}", f"{len(rest) // steps:,}", "")
    return table


if __name__ == "__main__":
    main()
