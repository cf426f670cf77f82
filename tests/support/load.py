"""Loads on a server, of one request that is kept as bytes, so that sending costs little beside answering.

The calls are made by one process, on a channel of its own; latency counts from when a call is sent.
"""

import collections
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def connect(address):
    """A channel, and its call of `Predict` that takes and gives bytes."""
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    return channel, channel.unary_unary(PREDICT)


def closed_loop(predict, message, clients, seconds):
    """Calls a second that some clients get answered, each after the other."""
    end = time.perf_counter() + seconds

    def ask(_number):
        count = 0
        while time.perf_counter() < end:
            predict(message, timeout=60)
            count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients))) / seconds


def latencies(predict, message, count):
    """Seconds of each of so many calls, one after the other."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        predict(message, timeout=60)
        found.append(time.perf_counter() - began)
    return found


@dataclasses.dataclass
class Outcome:
    """What became of the calls of an open loop: status -> seconds of each; and when the last one was sent."""

    seconds: float
    waits: dict
    ended: float

    @property
    def sent(self):
        return sum(map(len, self.waits.values()))

    @property
    def goodput(self):
        """Answers a second."""
        return len(self.waits["OK"]) / self.seconds

    @property
    def refusals(self):
        """Seconds until each was refused."""
        return [*self.waits["UNAVAILABLE"], *self.waits["RESOURCE_EXHAUSTED"]]


def open_loop(predict, message, rate, seconds, timeout, cancel_after=None):
    """So many calls a second, whether or not those before were answered; all are waited for.

    With `cancel_after`, each is given up by its caller after so many seconds.
    """
    waits, lock, done = collections.defaultdict(list), threading.Lock(), threading.Semaphore(0)

    def send():
        began = time.perf_counter()
        call = predict.future(message, timeout=timeout)

        def note(answered):
            with lock:
                waits[answered.code().name].append(time.perf_counter() - began)
            done.release()

        call.add_done_callback(note)
        if cancel_after is not None:
            running.append((began + cancel_after, call))

    running = collections.deque()
    start, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - start) < seconds or running:
        for _ in range(int(min(now, seconds) * rate) - sent):
            send()
            sent += 1
        while running and running[0][0] < time.perf_counter():
            running.popleft()[1].cancel()
        time.sleep(0.002)
    ended = time.perf_counter()
    for _ in range(sent):
        done.acquire()
    return Outcome(seconds, waits, ended)


def recovery(predict, message, timeout, in_a_row=10):
    """Seconds until so many calls in a row are answered in time."""
    began, good = time.perf_counter(), 0
    while good < in_a_row:
        try:
            predict(message, timeout=timeout)
            good += 1
        except grpc.RpcError:
            good = 0
            time.sleep(0.01)
    return time.perf_counter() - began
