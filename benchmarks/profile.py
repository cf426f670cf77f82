"""Where the time of a training step goes, by operation, for both stages.

python -m benchmarks.profile --threads 1
"""

import collections
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from rich.console import Console
from rich.table import Table
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks.grpo import ROWS, make_steps
from benchmarks.machine import parse
from benchmarks.sizes import SHAPE, SUPERVISED, USERS
from benchmarks.training import ours
from tests.support.full_histories import random_timelines

STEPS, LINES = 4, 14
_OPERATION = re.compile(r"^(?P<name>[^:]+):(?P<kind>\w+)$")
_PART = re.compile(r"(search_encoder|rec_encoder|search_cross|rec_cross|attention|scoring_head|users|items|words|adam)")


def main() -> None:
    """Profiles and prints."""
    args = parse(__doc__, rounds=STEPS)
    timelines = random_timelines(SHAPE, USERS, 4)
    _, reinforced = make_steps(timelines)
    stages = {
        f"supervised, {SUPERVISED.batch_size:,} rows": ours(timelines, SUPERVISED),
        f"GRPO, {ROWS} rows of 8 trajectories": reinforced,
    }
    for title, step in stages.items():
        Console().print(_table(title, time_by_operation(step, args.rounds), args.rounds))


def time_by_operation(step: Callable[[], object], steps: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each execution of each operation of some steps, by kind and name."""
    for _ in range(3):
        step()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            step()
        tf.profiler.experimental.stop()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    found: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                match = _OPERATION.match(plane.event_metadata[event.metadata_id].name)
                # What runs a whole function is no operation: the function's own are in the trace too.
                if match and not match["name"].endswith("ExecutorState") and "Execute" not in match["name"]:
                    found[match["kind"], match["name"]].append(event.duration_ps / 1e9)
    return found


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
