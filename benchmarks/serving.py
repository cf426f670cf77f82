"""What TensorFlow Serving does as it is deployed: `python -m benchmarks.serving --model_dir DIR`.

It needs a `tensorflow_model_server` on the PATH, and runs it behind `serving/deploy/start` for this machine's CPUs,
with copies of the newest version of a directory. Requests have made-up ids, 10 clicks, 10 searches and 100 candidates.

- seconds from the command to the first answer;
- the first calls of a version after a swap, against the median of those before, by signature;
- an open loop at three times the capacity, with calls of one request and with calls of as many as a batch has;
- the processor time of calls that nobody waits for any more, against those that are answered.

The load is made by this process, on the same machine.
"""

import argparse
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import describe
from benchmarks.result import report
from model import contract
from serving.client import History, RankingClient, RankRequest, Search
from serving.client.request import request_inputs
from serving.client.tensors import to_proto
from serving.client.wire import PredictRequest
from serving.cpus import usable_cpus
from serving.versions import find_versions
from tests.support import load
from tests.support.deployed import BINARY, MISSING, NAME, behind_start, wait_for

REQUEST = RankRequest(
    "u",
    [f"candidate {number}" for number in range(100)],
    [f"click {number}" for number in range(10)],
    [Search([f"word {number}"], [f"click {number}"]) for number in range(10)],
)
_SWAPS = 5
_DEADLINE = 1.0
"""Seconds that a client of the overload waits."""
_GIVEN_UP = 40
"""Calls of each kind that nobody waits for."""


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", type=Path, required=True, help="of numeric version directories")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each overload")
    args = parser.parse_args()
    if BINARY is None:
        raise SystemExit(MISSING)
    newest = max(find_versions(args.model_dir).items())[1].path
    detail: dict[str, Any] = {"machine": describe(usable_cpus())}
    with tempfile.TemporaryDirectory() as name:
        folder, pushed = Path(name), Path(name, "pushed")
        shutil.copytree(newest, pushed / "1")
        began = time.perf_counter()
        with behind_start(pushed, folder) as (process, address, _), RankingClient(address, NAME) as client:
            wait_for(client, 1)
            client.rank(REQUEST)
            detail["start to the first answer, s"] = time.perf_counter() - began
            [server] = [one for one in psutil.Process(process.pid).children() if one.name().startswith("tensorflow")]
            detail["first calls"] = _first_calls(client, pushed)
            channel, predict = load.connect(address)
            with channel:
                for rows in (1, contract.MAX_MERGED_ROWS):
                    detail[f"overload, rows {rows}"] = _overload(predict, server, rows, args.seconds)
                detail["given up"] = _given_up(predict, server)
    table = [("what", "measured"), ("start to the first answer", f"{detail['start to the first answer, s']:.1f} s")]
    table += [
        (f"`{name}`: median; first calls of versions", f"{steady:.1f}; {', '.join(f'{one:.1f}' for one in first)} ms")
        for name, (steady, first) in detail["first calls"].items()
    ]
    for name, found in detail.items():
        if name.startswith(("overload", "given up")):
            table += [(f"{name}: {what}", f"{value:,.3f}") for what, value in found.items()]
    share = detail["overload, rows 1"]["answered / capacity"]
    report("serving", share, "of the capacity is answered at three times of it", "0.8", detail, table)


def _first_calls(client: RankingClient, pushed: Path) -> dict[str, tuple[float, list[float]]]:
    """Milliseconds by signature: the median of a warm version, and the first call of each of some versions."""

    def calls() -> dict[str, Callable[[], object]]:
        state = client.encode(history)
        return {
            "rank": lambda: client.rank(REQUEST),
            "score": lambda: client.score(state, REQUEST.candidates),
            "encode": lambda: client.encode(history),
            "recommend": lambda: client.recommend(history, 10),
            "explain": lambda: client.explain(history, "click 1"),
        }

    history = History(REQUEST.user, REQUEST.rec_items, REQUEST.searches)
    steady = {name: float(np.median([_milliseconds(call) for _ in range(100)])) for name, call in calls().items()}
    first: dict[str, list[float]] = {name: [] for name in steady}
    for version in range(2, 2 + _SWAPS):
        shutil.copytree(pushed / "1", pushed / f"staged-{version}")
        (pushed / f"staged-{version}").rename(pushed / str(version))
        wait_for(client, version)
        for name, call in calls().items():
            first[name].append(_milliseconds(call))
    return {name: (steady[name], first[name]) for name in steady}


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _message(rows: int, candidates: Sequence[str] = REQUEST.candidates) -> bytes:
    request = dataclasses.replace(REQUEST, candidates=candidates)
    call = PredictRequest()
    call.model_spec.name, call.model_spec.signature_name = NAME, contract.SIGNATURE_RANK
    for name, values in request_inputs([request] * rows).items():
        call.inputs[name].CopyFrom(to_proto(values))
    return bytes(call.SerializeToString())


def _overload(predict: Any, server: psutil.Process, rows: int, seconds: float) -> dict[str, float]:
    message, clients = _message(rows), 2 * contract.MAX_MERGED_ROWS if rows == 1 else 4
    load.closed_loop(predict, message, clients, 1)
    started = _cpu(server)
    capacity = load.closed_loop(predict, message, clients, 5)
    alone = capacity * 5 / (_cpu(server) - started)
    started = _cpu(server)
    outcome = load.open_loop(predict, message, 3 * capacity, seconds, _DEADLINE)
    overloaded = len(outcome.waits["OK"]) / (_cpu(server) - started)
    recovery = load.recovery(predict, message, _DEADLINE, outcome.ended)
    after = load.closed_loop(predict, message, clients, 5)
    return {
        "capacity before, calls/s": capacity,
        "capacity after, calls/s": after,
        "offered, calls/s": outcome.sent / seconds,
        "answered / capacity": outcome.goodput / ((capacity + after) / 2),
        "answered a CPU second of the server / those without overload": overloaded / alone,
        "answer p50, s": float(np.median(outcome.waits["OK"])),
        "answer p99, s": float(np.quantile(outcome.waits["OK"], 0.99)),
        **{f"{code}, calls": float(len(waits)) for code, waits in sorted(outcome.waits.items())},
        "refusal p50, s": float(np.median(outcome.refusals)),
        "refusal p99, s": float(np.quantile(outcome.refusals, 0.99)),
        "recovery, s": recovery,
    }


def _given_up(predict: Any, server: psutil.Process) -> dict[str, float]:
    """Processor time of a call that nobody waits for, over that of one that is answered; one call at a time.

    The server is let finish between two calls. Behind a queue there is no such pause, see the overload.
    """
    message = _message(contract.MAX_MERGED_ROWS, [f"candidate {number}" for number in range(5_000)])
    answered = load.latencies(predict, message, 10)
    began = _cpu(server)
    answered = load.latencies(predict, message, _GIVEN_UP)
    whole, median = _cpu(server) - began, float(np.median(answered))
    found = {"answered, ms": median * 1e3, "answered, CPU ms of the server": whole / _GIVEN_UP * 1e3}
    for share in (0.25, 0.5, 0.75):
        for what in ("expired", "cancelled"):
            began = _cpu(server)
            for _ in range(_GIVEN_UP):
                call = predict.future(message, timeout=share * median if what == "expired" else 60)
                time.sleep(share * median)
                if what == "cancelled":
                    call.cancel()
                time.sleep(2 * median)
            found[f"{what} after {share} of that, CPU of an answered one"] = (_cpu(server) - began) / whole
    return found


def _cpu(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


if __name__ == "__main__":
    main()
