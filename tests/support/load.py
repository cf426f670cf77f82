"""Loads on a server, of one request that is kept as bytes, so that sending costs little beside answering.

The calls are made by one process, on a channel of its own; latency counts from when a call is sent.
"""

import collections
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def connect(address: str) -> tuple[grpc.Channel, Any]:
    """A channel, and its call of `Predict` that takes and gives bytes."""
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    return channel, channel.unary_unary(PREDICT)


def closed_loop(predict: Any, message: bytes, clients: int, seconds: float) -> float:
    """Calls a second that some clients get answered, each after the other."""
    end = time.perf_counter() + seconds

    def ask(_number: int) -> int:
        count = 0
        while time.perf_counter() < end:
            predict(message, timeout=60)
            count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients))) / seconds


def latencies(predict: Any, message: bytes, count: int) -> list[float]:
    """Seconds of each of so many calls, one after the other."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        predict(message, timeout=60)
        found.append(time.perf_counter() - began)
    return found


@dataclasses.dataclass
class Outcome:
    """What became of the calls of an open loop: status -> seconds of each, and when the last was sent."""

    seconds: float
    waits: dict[str, list[float]]
    ended: float

    @property
    def sent(self) -> int:
        return sum(map(len, self.waits.values()))

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return len(self.waits["OK"]) / self.seconds

    @property
    def refusals(self) -> list[float]:
        """Seconds until each was refused."""
        return [*self.waits["UNAVAILABLE"], *self.waits["RESOURCE_EXHAUSTED"]]


def open_loop(predict: Any, message: bytes, rate: float, seconds: float, timeout: float) -> Outcome:
    """So many calls a second, whether or not those before were answered; all are waited for."""
    waits, lock, done = collections.defaultdict[str, list[float]](list), threading.Lock(), threading.Semaphore(0)

    def send() -> None:
        began = time.perf_counter()
        call = predict.future(message, timeout=timeout)

        def note(answered: Any) -> None:
            with lock:
                waits[answered.code().name].append(time.perf_counter() - began)
            done.release()

        call.add_done_callback(note)

    start, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - start) < seconds:
        for _ in range(int(now * rate) - sent):
            send()
            sent += 1
        time.sleep(0.002)
    ended = time.perf_counter()
    for _ in range(sent):
        done.acquire()
    return Outcome(seconds, waits, ended)


def recovery(predict: Any, message: bytes, timeout: float, ended: float, in_a_row: int = 10) -> float:
    """Seconds from the end of an open loop until its calls are done and so many calls in a row are answered in time."""
    good = 0
    while good < in_a_row:
        try:
            predict(message, timeout=timeout)
            good += 1
        except grpc.RpcError:
            good = 0
            time.sleep(0.01)
    return time.perf_counter() - ended
