"""A client of TF Serving's gRPC interface, for our requests and answers; `serving.client.aio` has one for asyncio."""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import grpc

from serving.client.answer import Explanation, RankedCandidates, Recommendations, ScoredCandidates, State
from serving.client.exchange import Attempt, Calls, Exchange, RankingError, T
from serving.client.request import History, RankRequest
from serving.client.status import VersionState

__all__ = ["RankingClient", "RankingError"]


class RankingClient(Exchange):
    """Ranks candidates on TF Serving or on our development server; use it as a context manager, from any thread.

    One for a process is enough, and its connection is kept. It connects at the first call, and again in a process that
    was forked; no other thread should be in a call while a process is forked.

    All methods raise a RankingError where the server refused or did not answer, or the model could not score the
    request, and a ValueError where the request is above the limits of `model.contract`: then nothing is sent. `timeout`
    is that of the client unless given.
    """

    def rank(self, request: RankRequest, timeout: float | None = None) -> RankedCandidates:
        """Ranks the candidates of one user."""
        return self._run(self._rank(request), timeout)

    def rank_batch(self, requests: Sequence[RankRequest], timeout: float | None = None) -> list[RankedCandidates]:
        """Ranks for several users, at most `MAX_MERGED_ROWS` in a call; candidates may differ in number.

        A request that the model could not score, its neighbours could: `RankedCandidates.scored` tells them apart.
        """
        return self._run(self._rank_batch(requests), timeout)

    def encode(self, history: History, timeout: float | None = None) -> State:
        """Reads a history once, for several calls of `score`."""
        return self._run(self._encode(history), timeout)

    def score(self, state: State, candidates: Sequence[str], timeout: float | None = None) -> ScoredCandidates:
        """Ranks candidates by the version that made the state.

        Where that version is gone, the history is encoded anew by the one that is served: the answer says so, and holds
        the new state.
        """
        return self._run(self._score(state, candidates), timeout)

    def recommend(
        self, history: History, k: int = 10, *, leave_out_clicked: bool = True, timeout: float | None = None
    ) -> Recommendations:
        """The `k` best items of the catalogue, where the model can tell; without those that the history clicked."""
        return self._run(self._recommend(history, k, leave_out_clicked), timeout)

    def explain(self, history: History, item: str, timeout: float | None = None) -> Explanation:
        """Why the item has its score for this user, where the model can tell."""
        return self._run(self._explain(history, item), timeout)

    def status(self, timeout: float | None = None) -> list[VersionState]:
        """The states of the model's versions, as the server lists them: newest first."""
        return self._run(self._status(), timeout)

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        channel = self._channels.pop(os.getpid(), None)
        if channel is not None:
            channel.close()

    def __enter__(self) -> "RankingClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, calls: Calls[T], timeout: float | None) -> T:
        steps = self.sent(calls, timeout)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Attempt):
                    try:
                        reply = self._send(step)
                    except grpc.RpcError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(reply)
                else:
                    time.sleep(step.seconds)
                    step = next(steps)
        except StopIteration as done:
            return done.value

    def _send(self, attempt: Attempt) -> Any:
        process = os.getpid()
        channel = self._channels.get(process) or self._channels.setdefault(process, self._connection.open(grpc))
        method = attempt.method
        call = channel.unary_unary(method.path, type(attempt.message).SerializeToString, method.reply.FromString)
        return call(attempt.message, timeout=attempt.timeout, metadata=self._connection.metadata())
