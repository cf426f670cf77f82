"""Load on a server: what it answers, how fast, and how it refuses when more comes than it can do.

Two loops. In the closed one some clients ask, each after its answer; what comes of it is the server's capacity. In the
open one calls come at random times that do not depend on the server (a Poisson process), as those of many users do, and
a call's latency counts from the moment it was due: a server that falls behind shows, and so does this process.

Schedules and summaries are pure; `Load` sends.
"""

import collections
import gzip
import queue
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from model.contract import (
    CANDIDATES,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEM_COUNTS,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORD_COUNTS,
    SEARCH_WORDS,
    USER,
)
from serving.client import wire
from serving.client.client import RankingClient
from serving.client.connection import Connection
from serving.client.exchange import Attempt
from serving.client.request import RankRequest, Search
from serving.client.request_log import records_of

Signature = Literal["rank", "score", "recommend"]
SHARES = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
"""Of the capacity: the rates of the open loops, unless others are given."""
REFUSALS = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""What a server answers that has too much to do: ours, TF Serving's threads and the proxy the one, its batches the
other."""
_OK = "OK"
_GZIP = b"\x1f\x8b"
_LEAST_SECONDS = 0.001
"""That a call is given to be answered, however late it is sent."""


class Ended(NamedTuple):
    """A call: when it was due, sent and ended, in seconds since the loop began, gRPC's code and details."""

    due: float
    sent: float
    done: float
    code: str
    details: str = ""


@dataclass(frozen=True)
class Summary:
    """What a loop came to.

    Attributes:
        calls: all of them.
        offered: calls a second that came.
        goodput: calls a second that were answered.
        p50_ms, p95_ms, p99_ms: of the answered calls, from when they were due; None where there are none.
        codes: how many calls ended with each code, most frequent first.
        said: for each code but OK, what the first such call was told.
        refusals: those with a code of `REFUSALS`.
        refusal_p50_ms, refusal_p99_ms: how long those took, from when they were sent.
        late_p99_ms: between due and sent: large, where this process could not keep up.
    """

    calls: int
    offered: float
    goodput: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    codes: Mapping[str, int]
    said: Mapping[str, str]
    refusals: int
    refusal_p50_ms: float | None
    refusal_p99_ms: float | None
    late_p99_ms: float | None


def arrivals(rate: float, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    """Times of a Poisson process, in order, from 0 to `seconds`: `[n]`, n about `rate` times `seconds`."""
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))


def summarize(calls: Sequence[Ended], seconds: float) -> Summary:
    """Sum up a loop.

    Args:
        calls: all of the loop.
        seconds: in which they were due. Where the last answer came later, that is the time for the goodput: what a
            queue still holds at the end is no work done in time.
    """
    answered = [call for call in calls if call.code == _OK]
    refused = [call.done - call.sent for call in calls if call.code in REFUSALS]
    elapsed = max([seconds, *(call.done for call in answered)])
    p50, p95, p99 = _percentiles([call.done - call.due for call in answered], (50, 95, 99))
    refusal_p50, refusal_p99 = _percentiles(refused, (50, 99))
    (late,) = _percentiles([call.sent - call.due for call in calls], (99,))
    return Summary(
        calls=len(calls),
        offered=len(calls) / seconds,
        goodput=len(answered) / elapsed,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        codes=dict(collections.Counter(call.code for call in calls).most_common()),
        said={call.code: call.details for call in reversed(calls) if call.code != _OK},
        refusals=len(refused),
        refusal_p50_ms=refusal_p50,
        refusal_p99_ms=refusal_p99,
        late_p99_ms=late,
    )


def _percentiles(seconds: Sequence[float], of: Sequence[int]) -> list[float | None]:
    return [float(value) * 1e3 for value in np.percentile(seconds, of)] if seconds else [None] * len(of)


class Load:
    """Sends prepared calls over one channel and holds as many open as there are; use it as a context manager.

    Args:
        connection: to the servers.
        messages: serialized PredictRequests, sent in turns.
        timeout: seconds from when a call is due until its caller gives up.
    """

    def __init__(self, connection: Connection, messages: Sequence[bytes], timeout: float) -> None:
        self._connection, self._messages, self._timeout = connection, messages, timeout
        self._channel = connection.open(grpc)
        self._predict = self._channel.unary_unary(wire.PREDICT.path)  # bytes as they are
        self._ended = queue.SimpleQueue[Ended]()
        self._number = 0

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def closed(self, clients: int, seconds: float) -> list[Ended]:
        """Ask as `clients` that each wait for an answer before they ask again, for that time."""
        begin, calls = time.perf_counter(), []
        for _ in range(clients):
            self._send(begin, time.perf_counter() - begin)
        running = clients
        while running:
            calls.append(self._ended.get())
            now = time.perf_counter() - begin
            if now < seconds:
                self._send(begin, now)
            else:
                running -= 1
        return calls

    def open(self, due: Sequence[float] | npt.NDArray[np.float64]) -> list[Ended]:
        """Ask at these times, seconds from now, whatever the server does."""
        begin = time.perf_counter()
        for moment in due:
            time.sleep(max(0.0, begin + moment - time.perf_counter()))
            self._send(begin, float(moment))
        return [self._ended.get() for _ in due]

    def _send(self, begin: float, due: float) -> None:
        message = self._messages[self._number % len(self._messages)]
        self._number += 1
        sent = time.perf_counter() - begin
        timeout = max(_LEAST_SECONDS, due + self._timeout - sent)
        call = self._predict.future(message, timeout=timeout, metadata=self._connection.metadata())

        def note(ended: Any) -> None:
            done = time.perf_counter() - begin
            self._ended.put(Ended(due, sent, done, ended.code().name, ended.details() or ""))

        call.add_done_callback(note)


class _Recorder(RankingClient):
    """Keeps the last call that it sent."""

    last: bytes

    def _send(self, attempt: Attempt) -> Any:
        self.last = attempt.message.SerializeToString()
        return super()._send(attempt)


def prepare(
    connection: Mapping[str, Any], signature: Signature, requests: Iterable[RankRequest], k: int
) -> tuple[list[bytes], list[int]]:
    """What the client sends for each request, by asking each once, which warms the server up too.

    Args:
        connection: arguments of `RankingClient`.
        signature: `rank`; `score`, on a state that was made once; or `recommend`, of `k` items.
        requests: to be asked.
        k: see there.

    Returns:
        Serialized PredictRequests, and the versions that answered.

    Raises:
        RankingError: the server does not answer one of them.
    """
    messages, versions = [], set()
    client = _Recorder(**connection)
    with client:
        for request in requests:
            if signature == "rank":
                version = client.rank(request).version
            elif signature == "score":
                version = client.score(client.encode(request.history), request.candidates).version
            else:
                version = client.recommend(request.history, k).version
            messages.append(client.last)
            versions.add(version)
    return messages, sorted(versions)


def read_requests(files: Iterable[Path]) -> Iterator[RankRequest]:
    """The requests of TFRecord files of request Examples, raw ones as ExampleGen writes them; gzipped or not.

    Raises:
        ValueError: a file holds something else.
    """
    for file in files:
        data = file.read_bytes()
        try:
            for record in records_of(gzip.decompress(data) if data.startswith(_GZIP) else data):
                yield request_of(wire.Example.FromString(record))
        except (ValueError, EOFError, zlib.error, DecodeError, gzip.BadGzipFile) as error:
            raise ValueError(f"{file} should be a TFRecord file of request Examples. Received: {error}") from error


def request_of(example: Any) -> RankRequest:
    """The request that an Example holds.

    Raises:
        ValueError: it holds none.
    """
    features = example.features.feature

    def texts(name: str) -> list[str]:
        return [value.decode() for value in features[name].bytes_list.value]

    def numbers(name: str) -> list[int]:
        return list(features[name].int64_list.value)

    words = _split(texts(SEARCH_WORDS), numbers(SEARCH_WORD_COUNTS))
    items = _split(texts(SEARCH_ITEMS), numbers(SEARCH_ITEM_COUNTS))
    times: list[int] | list[None] = numbers(SEARCH_TIMES) or [None] * len(words)
    return RankRequest(
        user="".join(texts(USER)),
        candidates=texts(CANDIDATES),
        rec_items=texts(REC_ITEMS),
        searches=[Search(*search) for search in zip(words, items, times, strict=True)],
        rec_times=numbers(REC_TIMES),
    )


def _split(values: list[str], counts: list[int]) -> list[list[str]]:
    ends = np.cumsum(counts, dtype=int)
    return [values[end - count : end] for end, count in zip(ends, counts, strict=True)]
