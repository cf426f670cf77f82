"""Counters and histograms in Prometheus's text form, with TF Serving's names, labels and buckets."""

import bisect
import itertools
import re
import threading
from collections.abc import Sequence

REQUESTS = "/tensorflow/serving/request_count"
REQUEST_LATENCY = "/tensorflow/serving/request_latency"
RUNTIME_LATENCY = "/tensorflow/serving/runtime_latency"
WARM_UP_LATENCY = "/tensorflow/serving/model_warmup_latency"
LOAD_ATTEMPTS = "/tensorflow/cc/saved_model/load_attempt_count"
LOAD_LATENCY = "/tensorflow/cc/saved_model/load_latency"
_LIMITS = [10 * 1.8**power for power in range(33)]
"""Upper ends of the buckets, in microseconds."""

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a server has counted; from any thread."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[_Labels, int]] = {}
        self._histograms: dict[str, dict[_Labels, list[float]]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        with self._lock:
            points = self._counts.setdefault(name, {})
            points[tuple(labels.items())] = points.get(tuple(labels.items()), 0) + by

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Adds a time to a histogram of microseconds."""
        micros = seconds * 1e6
        with self._lock:
            points = self._histograms.setdefault(name, {})
            point = points.setdefault(tuple(labels.items()), [0.0] * (len(_LIMITS) + 2))
            point[bisect.bisect_right(_LIMITS, micros)] += 1
            point[-1] += micros

    def text(self) -> str:
        """All of them, as Prometheus reads them."""
        with self._lock:
            lines = [*itertools.chain(*map(_counter, self._counts, self._counts.values()))]
            lines += itertools.chain(*map(_histogram, self._histograms, self._histograms.values()))
        return "\n".join(lines) + "\n"


def _counter(name: str, points: dict[_Labels, int]) -> list[str]:
    name = _prometheus(name)
    return [f"# TYPE {name} counter", *(f"{name}{{{_labels(labels)}}} {value}" for labels, value in points.items())]


def _histogram(name: str, points: dict[_Labels, list[float]]) -> list[str]:
    name = _prometheus(name)
    lines = [f"# TYPE {name} histogram"]
    for labels, (*buckets, total) in points.items():
        ends = [*(f"{limit:g}" for limit in _LIMITS), "+Inf"]
        text = _labels(labels)
        lines += [
            f'{name}_bucket{{{text},le="{end}"}} {count:.0f}'
            for end, count in zip(ends, itertools.accumulate(buckets), strict=True)
        ]
        lines += [f"{name}_sum{{{text}}} {total:.0f}", f"{name}_count{{{text}}} {sum(buckets):.0f}"]
    return lines


def _prometheus(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", ":", name)


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    escaped = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escaped)}"' for name, value in labels)
