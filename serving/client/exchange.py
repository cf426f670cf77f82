"""What is asked of a server, in which order, and what is done when it refuses. Sends nothing itself.

The methods are generators of the calls to be made, and get the replies, or the errors thrown in. `Exchange.sent` makes
of each call what is to be sent (`Attempt`) and waited for (`Pause`); the clients for threads and for asyncio run that.
"""

import dataclasses
import functools
import itertools
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from model.contract import (
    MAX_MERGED_ROWS,
    MAX_RECOMMENDATIONS,
    SIGNATURE_ENCODE,
    SIGNATURE_EXPLAIN,
    SIGNATURE_RANK,
    SIGNATURE_RECOMMEND,
    SIGNATURE_SCORE,
    TIME_FEATURES,
)
from serving.client import answer, wire
from serving.client.connection import Connection, Tls, Token
from serving.client.metrics import ClientMetrics
from serving.client.request import (
    History,
    RankRequest,
    candidate_inputs,
    check_candidates,
    check_item,
    history_inputs,
    request_inputs,
)
from serving.client.status import VersionState
from serving.client.tensors import to_array, to_proto

if TYPE_CHECKING:
    from serving.client.request_log import RequestLog  # an application without a log goes without its package

T = TypeVar("T")
_Code = grpc.StatusCode
_LOOKUPS = 3
"""How often a call asks anew what the model reads, before it gives up: versions may take turns among servers."""
_OUTPUTS = {
    SIGNATURE_RANK: ("scores", "ranks"),
    SIGNATURE_ENCODE: (),
    SIGNATURE_SCORE: ("scores", "ranks"),
    SIGNATURE_RECOMMEND: ("items", "scores"),
    SIGNATURE_EXPLAIN: ("score", "rec_weights", "search_weights", "rec_steps", "search_steps"),
}


class RankingError(Exception):
    """A request that the server refused or did not answer.

    Args:
        code: the gRPC status.
        message: what to tell the user.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code


class Call(NamedTuple):
    """A message to be answered, and what it is called in metrics and errors."""

    method: wire.Method
    message: Any
    name: str


class Attempt(NamedTuple):
    """A message to be sent once, and the seconds for it."""

    method: wire.Method
    message: Any
    timeout: float


class Pause(NamedTuple):
    """Seconds to wait."""

    seconds: float


Calls = Generator[Call, Any, T]
Steps = Generator[Attempt | Pause, Any, T]


@dataclass(frozen=True)
class Retries:
    """When a call that reached no server (UNAVAILABLE) is sent again. All calls only read, so that this is safe.

    Never after DEADLINE_EXCEEDED: a server that is too slow would get more to do.

    Args:
        attempts: of one call, at the most.
        share: of all calls that may be retries, so that a failing server is not asked ever more often.
        reserve: retries that are allowed before there were calls, and after a quiet time.
        first_pause: seconds before the first retry, at the most; each next one may wait twice as long. The pause is
            drawn evenly from 0 to that, so that clients do not come back all at once.
        longest_pause: seconds.
    """

    attempts: int = 3
    share: float = 0.1
    reserve: float = 10.0
    first_pause: float = 0.1
    longest_pause: float = 2.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, from 0."""
        return random.uniform(0, min(self.longest_pause, self.first_pause * 2**attempt))  # noqa: S311


class RetryBudget:
    """Counts calls and retries; from any thread."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._left = retries.reserve
        self._lock = threading.Lock()

    def count_call(self) -> None:
        """A call adds its share of a retry."""
        with self._lock:
            self._left = min(self._left + self._retries.share, max(self._retries.reserve, 1.0))

    def take(self) -> bool:
        """Whether a retry is left, which is then taken."""
        with self._lock:
            if self._left < 1.0 - 1e-9:
                return False
            self._left -= 1.0
            return True


class _Predicted(NamedTuple):
    outputs: dict[str, npt.NDArray[Any]]
    version: int


class Exchange:
    """What the clients for threads and for asyncio have in common.

    Args:
        address: `host:port`; `dns:///host:port`, of which all addresses are used in turn; or a list of `IP:port`.
        model_name: the model's name on the server.
        timeout: seconds for each method, its lookups, retries and pauses included; a method may be given its own.
        version: the only version to be asked; None asks the newest one.
        label: of the version to be asked, such as `stable`, instead of its number.
        tls: how to encrypt; None speaks plain text.
        token: sent with each call over TLS; a function is asked for it each time.
        retries: when a call is sent again.
        log: where a sample of the requests is written.
        metrics: where calls are counted and timed.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        model_name: str = "lcr_ser",
        timeout: float = 10.0,
        *,
        version: int | None = None,
        label: str | None = None,
        tls: Tls | None = None,
        token: Token | None = None,
        retries: Retries | None = None,
        log: "RequestLog | None" = None,
        metrics: ClientMetrics | None = None,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError(f"`version` or `label` should be given, not both. Received: {version} and {label!r}.")
        self._connection = Connection(address, tls, token)
        self.address = self._connection.name
        self._model_name, self._timeout = model_name, timeout
        self._version, self._label = version, label
        self._retries = retries or Retries()
        self._budget = RetryBudget(self._retries)
        self._log, self._metrics = log, metrics
        self._signatures: Mapping[str, frozenset[str]] = {}
        self._channels: dict[Any, Any] = {}  # by process, or by event loop

    def _rank_batch(self, requests: Sequence[RankRequest]) -> Calls[list[answer.RankedCandidates]]:
        """A server that merges calls refuses one of more rows than it merges, so that many go in several calls."""
        batches = [requests[begin : begin + MAX_MERGED_ROWS] for begin in range(0, len(requests), MAX_MERGED_ROWS)]
        inputs = [request_inputs(batch) for batch in batches]  # nothing is sent if one is above the limits
        found: list[answer.RankedCandidates] = []
        for batch, of_batch in zip(batches, inputs, strict=True):
            outputs, version = yield from self._predict(SIGNATURE_RANK, of_batch)
            found += self._read(SIGNATURE_RANK, functools.partial(answer.rankings, batch, outputs, version))
        return found

    def _rank(self, request: RankRequest) -> Calls[answer.RankedCandidates]:
        [ranking] = yield from self._rank_batch([request])
        if not ranking.scored:
            raise self._unscored(request.user, ranking.version)
        return ranking

    def _encode(self, history: History) -> Calls[answer.State]:
        outputs, version = yield from self._predict(SIGNATURE_ENCODE, history_inputs([history]))
        return answer.State(history, version, outputs)

    def _score(self, state: answer.State, candidates: Sequence[str]) -> Calls[answer.ScoredCandidates]:
        """Score by the version that made the state; where that is gone, or another model bears its number, once more
        with a new state.
        """
        check_candidates(candidates)
        try:
            scored = yield from self._score_once(state, candidates)
        except RankingError as error:
            if error.code is not _Code.NOT_FOUND:
                raise
            scored = None
        if scored is not None and scored.scored:
            return scored
        state = yield from self._encode(state.history)
        scored = yield from self._score_once(state, candidates)
        if not scored.scored:
            raise self._unscored(state.history.user, scored.version)
        return dataclasses.replace(scored, encoded_anew=True)

    def _score_once(self, state: answer.State, candidates: Sequence[str]) -> Calls[answer.ScoredCandidates]:
        inputs = {**state.arrays, **candidate_inputs([candidates])}
        outputs, version = yield from self._predict_once(SIGNATURE_SCORE, inputs, state.version)
        rows = self._read(SIGNATURE_SCORE, lambda: answer.ranked(candidates, outputs["scores"][0], outputs["ranks"][0]))
        return answer.ScoredCandidates(rows, version, state, encoded_anew=False)

    def _recommend(self, history: History, k: int, leave_out_clicked: bool) -> Calls[answer.Recommendations]:
        if not 1 <= k <= MAX_RECOMMENDATIONS:
            raise ValueError(f"`k` should be from 1 to {MAX_RECOMMENDATIONS}. Received: {k}.")
        inputs = {
            **history_inputs([history]),
            "k": np.array([k], np.int32),
            "leave_out_clicked": np.array([leave_out_clicked]),
        }
        outputs, version = yield from self._predict(SIGNATURE_RECOMMEND, inputs)
        if np.isnan(outputs["scores"]).any():
            raise self._unscored(history.user, version)
        return self._read(SIGNATURE_RECOMMEND, lambda: answer.recommendations(outputs, k, version))

    def _explain(self, history: History, item: str) -> Calls[answer.Explanation]:
        check_item(item)
        inputs = {**history_inputs([history]), "item": np.array([item.encode()], object)}
        outputs, version = yield from self._predict(SIGNATURE_EXPLAIN, inputs)
        if np.isnan(outputs["score"]).any():
            raise self._unscored(history.user, version)
        return self._read(SIGNATURE_EXPLAIN, lambda: answer.explanation(history, outputs, version))

    def _status(self) -> Calls[list[VersionState]]:
        message = wire.GetModelStatusRequest()
        message.model_spec.name = self._model_name
        reply = yield Call(wire.STATUS, message, wire.STATUS.name)
        names = {number: name for name, number in wire.ENUMS["tensorflow.serving.ModelVersionStatus.State"].items()}
        return [
            VersionState(one.version, names.get(one.state, str(one.state)), one.status.error_message)
            for one in reply.model_version_status
        ]

    def _predict(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Calls[_Predicted]:
        """Send what the served model reads; where that has changed since it was looked up, again."""
        for _ in range(_LOOKUPS):
            known = self._signatures or (yield from self._look_up())
            read = known.get(signature)
            if read is None or read - inputs.keys():
                refused = self._cannot(signature, known, inputs)
            else:
                try:
                    return (yield from self._predict_once(signature, {name: inputs[name] for name in read}))
                except RankingError as error:
                    if error.code not in (_Code.INVALID_ARGUMENT, _Code.FAILED_PRECONDITION):
                        raise
                    refused = error
            if (yield from self._look_up()) == known:
                break
        raise refused

    def _predict_once(
        self, signature: str, inputs: Mapping[str, npt.NDArray[Any]], version: int | None = None
    ) -> Calls[_Predicted]:
        """Call a signature, of `version` where a state wants the one that made it."""
        message = wire.PredictRequest()
        self._address_model(message.model_spec, version)
        message.model_spec.signature_name = signature
        for name, array in inputs.items():
            message.inputs[name].CopyFrom(to_proto(array))
        reply = yield Call(wire.PREDICT, message, signature)
        if self._log is not None:
            self._log.offer(message, reply)
        if missing := sorted(set(_OUTPUTS[signature]) - set(reply.outputs)):
            told = f"signature {signature!r} of {self.address} gives no {missing}; push another model"
            raise RankingError(_Code.FAILED_PRECONDITION, told)
        outputs = self._read(signature, lambda: {name: to_array(reply.outputs[name]) for name in reply.outputs})
        return _Predicted(outputs, reply.model_spec.version.value)

    def _look_up(self) -> Calls[Mapping[str, frozenset[str]]]:
        """Look up the inputs of each signature: each kind of model has its own."""
        message = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address_model(message.model_spec)
        reply = yield Call(wire.METADATA, message, wire.METADATA.name)
        found = wire.SignatureDefMap.FromString(reply.metadata["signature_def"].value).signature_def
        self._signatures = {name: frozenset(found[name].inputs) for name in found}
        return self._signatures

    def _address_model(self, spec: Any, version: int | None = None) -> None:
        spec.name = self._model_name
        if version is not None or self._version is not None:
            spec.version.value = self._version if version is None else version
        elif self._label is not None:
            spec.version_label = self._label

    def _cannot(
        self, signature: str, known: Mapping[str, frozenset[str]], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> RankingError:
        """What to tell where the served model has no such signature, or reads what was not given."""
        if signature not in known:
            told = f"{self.address} has no signature {signature!r}, it has {sorted(known)}; push another model"
        else:
            missing = sorted(known[signature] - inputs.keys())
            known_here = set(missing) <= set(TIME_FEATURES)
            what_to_do = "give the time of every click and of every search" if known_here else "update this client"
            told = f"the served model reads {missing}: {what_to_do} (asked of {self.address})"
        return RankingError(_Code.FAILED_PRECONDITION, told)

    def _unscored(self, user: str, version: int) -> RankingError:
        told = f"version {version} gives user {user!r} scores of NaN; serve another version at {self.address}"
        return RankingError(_Code.FAILED_PRECONDITION, told)

    def _read(self, signature: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, IndexError, OverflowError) as error:
            told = (
                f"signature {signature!r} of {self.address} answered what cannot be read: {error}; push another model"
            )
            raise RankingError(_Code.DATA_LOSS, told) from error

    def sent(self, calls: Calls[T], timeout: float | None) -> Steps[T]:
        """What is to be sent and waited for, for calls to be made within `timeout` seconds."""
        timeout = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        try:
            call = next(calls)
            while True:
                try:
                    reply = yield from self._attempts(call, deadline, timeout)
                except RankingError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(reply)
        except StopIteration as done:
            return done.value

    def _attempts(self, call: Call, deadline: float, timeout: float) -> Steps[Any]:
        self._budget.count_call()
        for number in itertools.count():
            started = time.monotonic()
            if started >= deadline:
                raise RankingError(_Code.DEADLINE_EXCEEDED, self._told(_Code.DEADLINE_EXCEEDED, "time is up", timeout))
            try:
                reply = yield Attempt(call.method, call.message, deadline - started)
            except grpc.RpcError as error:
                code, details = error.code(), error.details() or ""
                self._observe(call.name, code, started)
                pause = self._retries.pause(number)
                more = code is _Code.UNAVAILABLE and number + 1 < self._retries.attempts
                if not more or time.monotonic() + pause >= deadline or not self._budget.take():
                    raise RankingError(code, self._told(code, details, timeout)) from error
                if self._metrics is not None:
                    self._metrics.retried(call.name)
                yield Pause(pause)
            else:
                self._observe(call.name, _Code.OK, started)
                return reply

    def _observe(self, name: str, code: grpc.StatusCode, started: float) -> None:
        if self._metrics is not None:
            self._metrics.observe(name, code.name, time.monotonic() - started)

    def _told(self, code: grpc.StatusCode, details: str, timeout: float) -> str:
        """What the user is told of an error: who answered, what it said, and what to do."""
        spoken = "TLS" if self._connection.secure else "plain text"
        if code is _Code.UNAVAILABLE:
            return f"no answer from {self.address}: {details}. Is the server running, and does it speak {spoken}?"
        if code is _Code.DEADLINE_EXCEEDED:
            return f"no answer from {self.address} within {timeout} s: {details}. Is the server running, or overloaded?"
        if code in (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
            return f"{self.address} refused the token or certificate: {details}"
        if code is _Code.UNIMPLEMENTED:
            return (
                f"{self.address} does not speak TF Serving's gRPC interface: {details}. Is it the port of gRPC, 8500?"
            )
        return f"{details} (said by {self.address})"
