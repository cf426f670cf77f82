"""Who is computed when: as many calls at a time as there are processors, and a short queue."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import grpc

from serving.dev_server.errors import RequestError

_WEIGHT = 0.1
"""Of the newest call in the usual time of a call."""


class Turns:
    """Computes calls in the order in which they come.

    A call beyond the queue is refused at once, and so is one that would wait beyond its deadline, by what calls have
    usually taken. One that is cancelled, or whose deadline passes, leaves the queue and is not computed.

    Args:
        at_a_time: calls that are computed at a time.
        waiting: calls that wait for them at the most.
    """

    def __init__(self, at_a_time: int, waiting: int) -> None:
        self._at_a_time, self._waiting = at_a_time, waiting
        self._pool = ThreadPoolExecutor(at_a_time, "compute")
        self._held, self._usual, self._closed = 0, 0.0, False
        self._lock = threading.Condition()

    def take(self, compute: Callable[[], Any], context: grpc.ServicerContext) -> Any:
        """The result of `compute`.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, if the queue is full or too long; CANCELLED, if nobody waits any more;
                UNAVAILABLE, once it is closed.
        """
        with self._lock:
            self._admit(context.time_remaining())
            self._held += 1
        future = self._pool.submit(self._timed, compute)
        future.add_done_callback(self._leave)
        if not context.add_callback(future.cancel):  # the call is over already
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            message = "the call was cancelled, or its deadline passed, before its turn"
            raise RequestError(grpc.StatusCode.CANCELLED, message) from None

    def close(self, seconds: float) -> None:
        """Takes no more calls, and waits for those that it took."""
        with self._lock:
            self._closed = True
            self._lock.wait_for(lambda: self._held == 0, seconds)
        self._pool.shutdown(wait=False)

    def _admit(self, remaining: float | None) -> None:
        if self._closed:
            raise RequestError(grpc.StatusCode.UNAVAILABLE, "the server is being stopped")
        ahead = self._held - self._at_a_time
        if ahead >= self._waiting:
            message = f"the queue is full: {self._at_a_time} calls are computed and {ahead} wait; try again later"
            raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        expected = self._usual * (ahead + 1) / self._at_a_time
        if remaining is not None and ahead >= 0 and expected > remaining:
            message = (
                f"a turn is expected in {expected:.3f} s, after the deadline in {remaining:.3f} s; try again later"
            )
            raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)

    def _timed(self, compute: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return compute()
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self._usual += (took - self._usual) * (_WEIGHT if self._usual else 1.0)

    def _leave(self, _future: "Future[Any]") -> None:
        with self._lock:
            self._held -= 1
            self._lock.notify_all()
