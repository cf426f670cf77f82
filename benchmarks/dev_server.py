"""What the development server costs: `python -m benchmarks.dev_server --model_dir DIR`.

In one run, with the newest version of a directory and the requests of its warm-up file:

- seconds from the command to the line "ready" and to the first answer, and the memory then;
- for each signature, a call over gRPC against the bare session in this process, in turns, with one request;
- seconds of a load, and the memory over ten swaps;
- an open loop at three times what the server answers in a closed one: what it answers, how long refusals take, and how
  soon it answers all again.

The load is made by this process, on the same machine.
"""

import argparse
import collections
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from benchmarks.machine import describe
from benchmarks.result import report
from benchmarks.timing import time_in_turns
from model import contract
from serving.cpus import usable_cpus
from serving.dev_server.servable import LoadedVersion, recorded
from serving.dev_server.tensors import decode_inputs
from serving.versions import find_versions

_DEADLINE = 1.0
"""Seconds that a client of the overload waits."""
_SWAPS = 10


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", type=Path, required=True, help="of numeric version directories")
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of everything")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the overload")
    args = parser.parse_args()
    threads = usable_cpus()
    newest = max(find_versions(args.model_dir).items())[1].path
    requests = _requests(newest)
    detail: dict[str, Any] = {"machine": describe(threads)}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(newest, Path(folder, "1"))
        started = time.perf_counter()
        with _server(folder) as (process, address), grpc.insecure_channel(address) as channel:
            stub = PredictionServiceStub(channel)
            detail["start_s"] = {"ready": time.perf_counter() - started}
            stub.Predict(requests[contract.SIGNATURE_RANK], timeout=60)
            detail["start_s"]["first answer"] = time.perf_counter() - started
            detail["rss_mb"] = {"after start": _megabytes(process)}
            detail["ratios"] = _ratios(newest, requests, stub, threads, args.rounds)
            detail["overload"] = _overload(stub, requests[contract.SIGNATURE_RANK], threads, args.seconds)
            detail["rss_mb"]["after the overload"] = _megabytes(process)
            detail["rss_mb"]["after each swap"] = _swaps(process, Path(folder), stub, requests)
    rows = [("what", "measured")]
    rows += [(name, f"{value:.2f} s") for name, value in detail["start_s"].items()]
    rows += [(f"{name} over bare session", f"{value['ratio']:.2f}") for name, value in detail["ratios"].items()]
    rows += [(name, f"{value:,.3f}") for name, value in detail["overload"].items()]
    rows += [(f"MB {name}", str(np.round(value))) for name, value in detail["rss_mb"].items()]
    ratio = detail["ratios"][contract.SIGNATURE_RANK]["ratio"]
    report("dev_server", ratio, "times the bare session, `rank`", "1.3", detail, rows)


def _requests(version: Path) -> dict[str, Any]:
    """The first recorded request of each signature."""
    requests: dict[str, Any] = {}
    for request in recorded(version):
        requests.setdefault(request.model_spec.signature_name, request)
    return requests


def _ratios(version: Path, requests: dict[str, Any], stub: Any, threads: int, rounds: int) -> dict[str, Any]:
    servable = LoadedVersion(version, "lcr_ser", 1, threads=threads)
    found = {}
    for name, request in requests.items():
        arrays = decode_inputs(servable.signature_defs[name].inputs, request.inputs)
        calls: dict[str, Callable[[], object]] = {
            "bare": functools.partial(servable.run, name, arrays),
            "served": functools.partial(stub.Predict, request, timeout=60),
        }
        timed = time_in_turns(calls, rounds)
        found[name] = {
            "bare_ms": timed["bare"].median * 1e3,
            "served_ms": timed["served"].median * 1e3,
            "ratio": timed["served"].median / timed["bare"].median,
        }
    servable.close()
    return found


def _overload(stub: Any, request: Any, threads: int, seconds: float) -> dict[str, float]:
    capacity = _closed_loop(stub, request, 2 * threads)
    waits, lock, done = collections.defaultdict[str, list[float]](list), threading.Lock(), threading.Semaphore(0)

    def send() -> None:
        began = time.perf_counter()
        call = stub.Predict.future(request, timeout=_DEADLINE)

        def note(answered: Any) -> None:
            with lock:
                waits[answered.code().name].append(time.perf_counter() - began)
            done.release()

        call.add_done_callback(note)

    start, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - start) < seconds:
        for _ in range(int(now * 3 * capacity) - sent):
            send()
            sent += 1
        time.sleep(0.002)
    ended = time.perf_counter()
    for _ in range(sent):
        done.acquire()
    while _refused(stub, request):
        time.sleep(0.01)
    refusals = waits["RESOURCE_EXHAUSTED"]
    return {
        "capacity, calls/s": capacity,
        "offered, calls/s": sent / seconds,
        "answered / capacity": len(waits["OK"]) / seconds / capacity,
        "refused": float(len(refusals)),
        "neither": float(sent - len(waits["OK"]) - len(refusals)),
        "refusal p50, s": float(np.median(refusals)),
        "refusal p99, s": float(np.quantile(refusals, 0.99)),
        "answer p99, s": float(np.quantile(waits["OK"], 0.99)),
        "recovery, s": time.perf_counter() - ended,
    }


def _closed_loop(stub: Any, request: Any, clients: int, seconds: float = 3.0) -> float:
    """Calls a second that some clients get answered, each after the other."""
    end = time.perf_counter() + seconds

    def ask(_number: int) -> int:
        count = 0
        while time.perf_counter() < end:
            stub.Predict(request, timeout=60)
            count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients))) / seconds


def _refused(stub: Any, request: Any) -> bool:
    try:
        stub.Predict(request, timeout=_DEADLINE)
    except grpc.RpcError:
        return True
    return False


def _swaps(process: psutil.Process, folder: Path, stub: Any, requests: dict[str, Any]) -> list[float]:
    memory = [_megabytes(process)]
    for version in range(1, _SWAPS + 1):
        os.rename(folder / str(version), folder / str(version + 1))
        while stub.Predict(requests[contract.SIGNATURE_RANK], timeout=60).model_spec.version.value <= version:
            time.sleep(0.1)
        for request in requests.values():
            stub.Predict(request, timeout=60)
        time.sleep(1)  # for the old one to be unloaded
        memory.append(_megabytes(process))
    return memory


def _megabytes(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


@contextlib.contextmanager
def _server(model_dir: str) -> Iterator[tuple[psutil.Process, str]]:
    """The server's process and its address, once a version is ready."""
    command = [sys.executable, "-m", "serving.dev_server", "--model_base_path", model_dir, "--port", "0"]
    command += ["--file_system_poll_wait_seconds", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = next(line for line in process.stdout or () if line.startswith("ready"))
            yield psutil.Process(process.pid), ready.split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
