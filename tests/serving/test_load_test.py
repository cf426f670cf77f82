"""Load: schedules and summaries against independent computations, and the sender against small servers."""

import gzip
import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.report.gather.sample_request import as_request
from serving.client import RankRequest, Search
from serving.client.connection import Connection
from serving.client.request import request_inputs
from serving.client.request_log import framed
from serving.load_test import Ended, Load, arrivals, prepare, read_requests, request_of, summarize
from tests.support.recording_server import RecordingServer

SEEDS = st.integers(0, 2**32 - 1)
REQUESTS = [
    RankRequest("u1", ["a", "bb"], ["c"], [Search(["red", "shoe"], ["d"], 7), Search(["tall"], [], 8)], [5]),
    RankRequest("u2", ["ccc"], [], [], []),
]


@given(rate=st.floats(0.1, 500), seconds=st.floats(0.1, 10), seed=SEEDS, factor=st.floats(0.1, 10))
@settings(deadline=None)
def test_arrivals_are_times_in_order_and_stretch_with_the_rate(rate, seconds, seed, factor):
    times = arrivals(rate, seconds, seed)
    assert (np.diff(times) >= 0).all()
    assert ((times >= 0) & (times < seconds)).all()
    assert np.array_equal(times, arrivals(rate, seconds, seed))
    assert abs(len(times) - rate * seconds) <= 8 * math.sqrt(rate * seconds) + 20
    stretched = arrivals(rate / factor, seconds * factor, seed)
    if len(stretched) == len(times):  # rate * seconds is the same but for rounding
        np.testing.assert_allclose(stretched, times * factor, rtol=1e-9)


def test_arrivals_are_a_poisson_process():
    times = arrivals(50, 400, seed=1)
    assert stats.kstest(np.diff(times), "expon", args=(0, 1 / 50)).pvalue > 1e-3
    counts = np.histogram(times, bins=4000, range=(0, 400))[0]
    # Of a Poisson process counts vary as much as their mean, 5; regular times would not vary.
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.15)
    assert not np.array_equal(times, arrivals(50, 400, seed=2))


def percentile(values, share):
    """Between the two nearest ranks."""
    values = sorted(values)
    at = share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


CALLS = st.lists(
    st.builds(
        lambda due, late, took, code: Ended(due, due + late, due + late + took, code, code.lower()),
        st.floats(0, 10),
        st.floats(0, 2),
        st.floats(0, 5),
        st.sampled_from(["OK", "OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"]),
    ),
    max_size=60,
)


@given(CALLS)
def test_a_summary_counts_and_orders_calls(calls):
    found = summarize(calls, 10.0)
    answered = [call for call in calls if call.code == "OK"]
    refused = [call for call in calls if call.code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE")]
    assert found.codes == Counter(call.code for call in calls)
    assert list(found.codes.values()) == sorted(found.codes.values(), reverse=True)
    assert found.said == {code: code.lower() for code in found.codes if code != "OK"}
    assert (found.calls, found.offered, found.refusals) == (len(calls), len(calls) / 10, len(refused))
    assert found.goodput == pytest.approx(len(answered) / max([10.0, *(call.done for call in answered)]))
    for values, named in (
        ([call.done - call.due for call in answered], {0.5: found.p50_ms, 0.95: found.p95_ms, 0.99: found.p99_ms}),
        ([call.done - call.sent for call in refused], {0.5: found.refusal_p50_ms, 0.99: found.refusal_p99_ms}),
        ([call.sent - call.due for call in calls], {0.99: found.late_p99_ms}),
    ):
        for share, value in named.items():
            if values:
                assert value == pytest.approx(1e3 * percentile(values, share), abs=1e-6)
            else:
                assert value is None


class Slow:
    """A server that answers `b"yes"`, `seconds` after a call's turn has come; it counts the calls that it holds."""

    def __init__(self, seconds, threads, most=None):
        self.seconds, self.held, self.most_held, self.asked = seconds, 0, 0, []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(threads), maximum_concurrent_rpcs=most)
        answer = grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService", {"Predict": grpc.unary_unary_rpc_method_handler(self._answer)}
        )
        self._server.add_generic_rpc_handlers([answer])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def _answer(self, message, context):
        with self._lock:
            self.asked.append(message)
            self.held += 1
            self.most_held = max(self.most_held, self.held)
        time.sleep(self.seconds)
        with self._lock:
            self.held -= 1
        return b"yes"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()


def test_in_an_open_loop_a_server_that_falls_behind_shows():
    """One answer takes 30 ms and calls are due each 10 ms: call i takes 30 ms and has waited 20 i before."""
    due = [0.01 * number for number in range(12)]
    with Slow(0.03, threads=1) as server, Load(Connection(server.address), [b"1", b"2"], 10) as load:
        load.closed(1, 0.01)  # connects
        server.asked.clear()
        calls = load.open(due)
    assert sorted(call.due for call in calls) == due
    assert all(call.code == "OK" and call.sent >= call.due for call in calls)
    for number, call in enumerate(sorted(calls, key=lambda call: call.done)):
        assert call.done - due[number] >= 0.03 + 0.02 * number - 1e-3
    assert Counter(server.asked) == {b"1": 6, b"2": 6}


def test_an_open_loop_holds_calls_open_and_notes_refusals_and_callers_that_gave_up():
    with Slow(0.5, threads=2, most=2) as server, Load(Connection(server.address), [b""], 0.2) as load:
        calls = load.open([0.0] * 2 + [0.05] * 30)
    found = Counter(call.code for call in calls)
    assert found.keys() <= {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert found["DEADLINE_EXCEEDED"] >= 2
    assert found["RESOURCE_EXHAUSTED"] >= 1
    for call in calls:
        if call.code == "DEADLINE_EXCEEDED":
            assert call.done - call.due >= 0.2 - 1e-3


def test_in_a_closed_loop_each_client_waits_for_its_answer():
    with Slow(0.01, threads=8) as server, Load(Connection(server.address), [b""], 10) as load:
        calls = load.closed(3, 0.5)
    assert server.most_held == 3
    assert {call.code for call in calls} == {"OK"}
    assert 3 <= len(calls) <= 3 * 0.5 / 0.01 + 3
    assert all(call.sent == call.due or call.sent > call.due for call in calls)


def test_without_a_server_every_call_says_so():
    with Load(Connection("127.0.0.1:1"), [b""], 5) as load:
        [call] = load.open([0.0])
    assert call.code == "UNAVAILABLE" and "refused" in call.details


@pytest.mark.parametrize("signature", ["rank", "score", "recommend"])
def test_what_is_sent_is_what_the_client_sends(signature):
    with RecordingServer() as server:
        messages, versions = prepare({"address": server.address}, signature, REQUESTS, 5)
        wanted = [call for call in server.asked if call[0] == signature]
        server.asked.clear()
        with Load(Connection(server.address), messages, 10) as load:
            calls = load.open([0.0, 0.0])
        assert [call.code for call in calls] == ["OK", "OK"]
    assert versions == [3]
    assert len(wanted) == 2
    assert sorted(map(said, server.asked)) == sorted(map(said, wanted))
    if signature == "rank":
        for (_, inputs), request in zip(wanted, REQUESTS, strict=True):
            np.testing.assert_array_equal(inputs["candidates"], request_inputs([request])["candidates"])


def said(call):
    """A call's signature and tensors, to be compared."""
    signature, inputs = call
    return repr([signature, *sorted((name, array.shape, array.tolist()) for name, array in inputs.items())])


def example_of(request, label=0):
    """A request Example as ExampleGen stores it, by TensorFlow's own classes."""
    example = tf.train.Example()

    def add(name, values):
        feature = example.features.feature[name]
        if all(isinstance(value, str) for value in values):
            feature.bytes_list.value.extend(value.encode() for value in values)
        else:
            feature.int64_list.value.extend(values)

    add("user", [request.user])
    add("rec_items", request.rec_items)
    add("rec_times", request.rec_times)
    add("candidates", request.candidates)
    add("search_words", [word for search in request.searches for word in search.words])
    add("search_word_counts", [len(search.words) for search in request.searches])
    add("search_items", [item for search in request.searches for item in search.items])
    add("search_item_counts", [len(search.items) for search in request.searches])
    add("search_times", [search.time for search in request.searches if search.time is not None])
    add("label", [label])
    return example


IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip()), max_size=4)
EXAMPLES = st.builds(
    lambda user, items, candidates, searches: RankRequest(
        user, candidates, items, [Search(*search, at) for at, search in enumerate(searches)], list(range(len(items)))
    ),
    IDS.filter(len).map(lambda ids: ids[0]),
    IDS,
    IDS.filter(len),
    st.lists(st.tuples(IDS, IDS), max_size=3),
)


@given(EXAMPLES)
def test_a_request_is_read_from_its_example(request):
    example = example_of(request)
    assert request_of(example) == request
    stored = as_request(example)
    assert [stored[name] for name in ("user", "candidates", "rec_items")] == [
        request.user,
        request.candidates,
        request.rec_items,
    ]
    assert [(one["words"], one["items"]) for one in stored["searches"]] == [
        (one.words, one.items) for one in request.searches
    ]


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_requests_of_a_file(tmp_path, pack):
    records = [example_of(request).SerializeToString() for request in REQUESTS]
    with tf.io.TFRecordWriter(str(tmp_path / "ours")) as file:
        for record in records:
            file.write(record)
    whole = (tmp_path / "ours").read_bytes()
    (tmp_path / "requests").write_bytes(pack(whole))
    assert list(read_requests([tmp_path / "requests"])) == REQUESTS
    for damaged in (pack(whole[:-3]), pack(framed(b"no Example")), pack(framed(b"")), pack(whole)[:-9]):
        (tmp_path / "requests").write_bytes(damaged)
        with pytest.raises(ValueError, match="requests should be a TFRecord file of request Examples. Received: "):
            list(read_requests([tmp_path / "requests"]))
