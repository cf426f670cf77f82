"""What TensorFlow's profiler recorded of some steps: operations on the host, and kernels and copies on a GPU."""

import collections
import dataclasses
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

SCOPE = "optimizer_step"
"""What the names of an optimiser's operations begin with, after `name_optimizer`."""

_OPERATION = re.compile(r"^(?P<name>[^:]+):(?P<kind>\w+)$")
_OF_OPTIMIZER = re.compile(rf"(^|/){SCOPE}(_\d+)?/")
_GPU, _STREAM = "/device:GPU:", "Stream"
_COPIES = {"memcpyh2d": "to_device", "memcpyd2h": "to_host"}


@dataclasses.dataclass(frozen=True)
class DeviceActivity:
    """What a GPU did in a step, as means over the steps of a trace.

    Attributes:
        kernels: launched; of a CUDA graph each node that the trace shows.
        to_device, to_host: copies.
        on_device: copies within the device, and fills.
        busy_ms: the union of all their intervals.
    """

    kernels: float
    to_device: float
    to_host: float
    on_device: float
    busy_ms: float


def record(step: Callable[[], object], steps: int) -> tuple[Any, float]:
    """Call a step some times under the profiler; it was called before, so that nothing is traced or compiled.

    Returns:
        The trace, an `XSpace`, and the milliseconds of wall time that one call took.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        taken = time.perf_counter() - began
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return xplane_pb2.XSpace.FromString(file.read_bytes()), taken / steps * 1e3


def operations(space: Any) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each execution of each operation, by kind and name.

    The profiler leaves out what TensorFlow holds for free, such as constants and reshapes.
    """
    found: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for plane in space.planes:
        if plane.name.startswith(_GPU):
            continue
        for line in plane.lines:
            for event in line.events:
                match = _OPERATION.match(plane.event_metadata[event.metadata_id].name)
                # What runs a whole function is no operation: the function's own are in the trace too.
                if match and not match["name"].endswith("ExecutorState") and "Execute" not in match["name"]:
                    found[match["kind"], match["name"]].append(event.duration_ps / 1e9)
    return found


def count(found: dict[tuple[str, str], list[float]], steps: int) -> tuple[int, int]:
    """Executed operations of one step, and how many of them are the optimiser's, if `name_optimizer` named it."""
    of_optimizer = sum(len(times) for (_, name), times in found.items() if _OF_OPTIMIZER.search(name))
    return sum(map(len, found.values())) // steps, of_optimizer // steps


def name_optimizer(optimizer: Any) -> Any:
    """The same optimiser, whose operations are to be told from a step's others; before the step is compiled."""
    apply = optimizer.apply

    def named(gradients: Any) -> None:
        with tf.name_scope(SCOPE):
            apply(gradients)

    optimizer.apply = named
    return optimizer


def device_activity(space: Any, steps: int) -> DeviceActivity | None:
    """What the GPU did; None where the trace has none.

    A plane of a GPU has a line for each of its streams, and others that show the same by operation or by module: only
    the streams count.
    """
    counts: dict[str, int] = collections.defaultdict(int)
    intervals = []
    for name, begin, end in _on_streams(space):
        kind = name.lower()
        of_copy = next((field for prefix, field in _COPIES.items() if kind.startswith(prefix)), None)
        counts[of_copy or ("on_device" if kind.startswith(("memcpy", "memset")) else "kernels")] += 1
        intervals.append((begin, end))
    if not intervals:
        return None
    return DeviceActivity(
        kernels=counts["kernels"] / steps,
        to_device=counts["to_device"] / steps,
        to_host=counts["to_host"] / steps,
        on_device=counts["on_device"] / steps,
        busy_ms=union(intervals) / 1e9 / steps,
    )


def union(intervals: Iterable[tuple[int, int]]) -> int:
    """The length that intervals cover together."""
    covered, reached = 0, 0
    for begin, end in sorted(intervals):
        covered += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return covered


def _on_streams(space: Any) -> Iterator[tuple[str, int, int]]:
    """Name, begin and end of each event, in picoseconds."""
    for plane in space.planes:
        if plane.name.startswith(_GPU):
            for line in plane.lines:
                if line.name.startswith(_STREAM):
                    for event in line.events:
                        begin = line.timestamp_ns * 1000 + event.offset_ps
                        yield plane.event_metadata[event.metadata_id].name, begin, begin + event.duration_ps
