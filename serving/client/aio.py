"""The client for asyncio."""

import asyncio
import os
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from serving.client.answer import Explanation, RankedCandidates, Recommendations, ScoredCandidates, State
from serving.client.exchange import Attempt, Calls, Exchange, RankingError, T
from serving.client.request import History, RankRequest
from serving.client.status import VersionState


class AsyncRankingClient(Exchange):
    """`RankingClient` for asyncio: the same methods, to be awaited; use it as an asynchronous context manager.

    It opens a connection at the first call in each event loop, and keeps it as long as the loop lives. A task may be
    cancelled while it waits. Where a process is forked, the client should be closed, or its event loop.
    """

    _process = 0

    async def rank(self, request: RankRequest, timeout: float | None = None) -> RankedCandidates:
        """As `RankingClient.rank`."""
        return await self._run(self._rank(request), timeout)

    async def rank_batch(self, requests: Sequence[RankRequest], timeout: float | None = None) -> list[RankedCandidates]:
        """As `RankingClient.rank_batch`."""
        return await self._run(self._rank_batch(requests), timeout)

    async def encode(self, history: History, timeout: float | None = None) -> State:
        """As `RankingClient.encode`."""
        return await self._run(self._encode(history), timeout)

    async def score(self, state: State, candidates: Sequence[str], timeout: float | None = None) -> ScoredCandidates:
        """As `RankingClient.score`."""
        return await self._run(self._score(state, candidates), timeout)

    async def recommend(
        self, history: History, k: int = 10, *, leave_out_clicked: bool = True, timeout: float | None = None
    ) -> Recommendations:
        """As `RankingClient.recommend`."""
        return await self._run(self._recommend(history, k, leave_out_clicked), timeout)

    async def explain(self, history: History, item: str, timeout: float | None = None) -> Explanation:
        """As `RankingClient.explain`."""
        return await self._run(self._explain(history, item), timeout)

    async def status(self, timeout: float | None = None) -> list[VersionState]:
        """As `RankingClient.status`."""
        return await self._run(self._status(), timeout)

    async def close(self) -> None:
        """Close the connection of this event loop; a later call opens another."""
        channel = self._channels.pop(asyncio.get_running_loop(), None)
        if channel is not None:
            await channel.close()

    async def __aenter__(self) -> "AsyncRankingClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, calls: Calls[T], timeout: float | None) -> T:
        steps = self.sent(calls, timeout)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Attempt):
                    try:
                        reply = await self._send(step)
                    except grpc.RpcError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(reply)
                else:
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
        except StopIteration as done:
            return done.value

    async def _send(self, attempt: Attempt) -> Any:
        channel, method = self._channel(), attempt.method
        call = channel.unary_unary(method.path, type(attempt.message).SerializeToString, method.reply.FromString)
        return await call(attempt.message, timeout=attempt.timeout, metadata=self._connection.metadata())

    def _channel(self) -> Any:
        loop = asyncio.get_running_loop()
        self._let_go_of_closed_loops()
        if self._channels and self._process != os.getpid():
            told = "the process was forked while its event loop was connected: close the client before, or spawn"
            raise RankingError(grpc.StatusCode.FAILED_PRECONDITION, told)
        if loop not in self._channels:
            self._process = os.getpid()
            self._channels[loop] = self._connection.open(grpc.aio)
            _CONNECTED.add(self)
        return self._channels[loop]

    def _let_go_of_closed_loops(self) -> None:
        for loop in [loop for loop in self._channels if loop.is_closed()]:
            del self._channels[loop]


_CONNECTED: "weakref.WeakSet[AsyncRankingClient]" = weakref.WeakSet()


def _before_fork() -> None:
    """As long as gRPC has a channel of asyncio, it has a thread that no fork survives: calls would hang or crash."""
    for client in list(_CONNECTED):
        client._let_go_of_closed_loops()


os.register_at_fork(before=_before_fork)
