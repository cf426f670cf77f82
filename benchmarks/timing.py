"""Wall time and processor time of calls, measured in turns."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of the calls of one thing, round by round.

    Attributes:
        walls: wall time, `[rounds]`.
        cpus: processor time of all threads, `[rounds]`.
    """

    walls: npt.NDArray[Any]
    cpus: npt.NDArray[Any]

    @property
    def median(self) -> float:
        """Wall time."""
        return float(np.median(self.walls))

    @property
    def fastest(self) -> float:
        """Wall time."""
        return float(self.walls.min())

    @property
    def cpu(self) -> float:
        """Median of the processor time."""
        return float(np.median(self.cpus))

    def over(self, other: "Timing") -> float:
        """Median of the ratios of wall times, each of one round: a slow phase of the machine cancels out."""
        return float(np.median(self.walls / other.walls))


def time_in_turns(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, Timing]:
    """Call everything in turns, so that a slow phase of the machine falls on all alike.

    Each turn begins with a call that is not timed: caches and free memory are still the last one's.

    Args:
        calls: by name; each waits until its work is done.
        rounds: timed calls of each.
        warm_up: calls of each before that: traces, allocations, caches.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            samples[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Timing(*np.array(pairs).T) for name, pairs in samples.items()}
