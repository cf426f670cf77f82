"""The same promises of both servers, each a process: ours for development, and TensorFlow Serving where there is one.

T1 to T4, T6, T7 and T9 of what serving systems are held to: swaps, bad versions, poison, codes and memory.
"""

import itertools
import shutil
import threading
import time

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from components.servable_check.requests import rank_inputs
from components.servable_check.session import SessionModel
from model import contract
from serving.client import RankRequest, Search
from serving.warmup import write_warm_up
from tests.support.checkable_servable import example
from tests.support.merging import led
from tests.support.servers import (
    BINARY,
    DEVELOPMENT,
    MISSING,
    NAME,
    TF_SERVING,
    client_of,
    serving,
    wait_for,
    write_version,
)
from tests.support.small_servable import SmallServable

pytestmark = [pytest.mark.slow, pytest.mark.long]

KINDS = [DEVELOPMENT, pytest.param(TF_SERVING, marks=pytest.mark.skipif(BINARY is None, reason=MISSING))]
CLIENTS = 4
REQUEST = RankRequest("u1", ["a", "b", "c", "d"], ["b"], [Search(["red"], ["c"])])
_PORTS = itertools.count(18500)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two models: version 1 and another one, with the scores that each gives the request."""
    folder = tmp_path_factory.mktemp("built")
    first = folder / "first"
    SmallServable(folder).save(first)
    write_warm_up(str(first), NAME)
    write_version(first, folder / "second", 7)
    scores = []
    for path in (first, folder / "second"):
        with SessionModel(str(path)) as model:
            call = rank_inputs([example("u1", ["b"], [(["red"], ["c"])], ["a", "b", "c", "d"])])
            scores.append(model.signatures["rank"](**call)["scores"][0])
    assert np.abs(scores[0] - scores[1]).max() > 1e-2
    return (first, folder / "second"), scores


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model_dir(built, tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    publish(built, folder, 1)
    return folder


def publish(built, folder, version):
    """Odd versions are the first model, even ones the second."""
    (first, second), _ = built
    shutil.copytree(first if version % 2 else second, folder / f"staged-{version}")
    (folder / f"staged-{version}").rename(folder / str(version))


def right(built, answer):
    _, scores = built
    expected = dict(zip("abcd", scores[answer.version % 2 == 0], strict=True))
    return all(abs(row.score - expected[row.item]) < 1e-4 for row in answer.candidates)


class Asking:
    """Clients that ask the same, one call after the other, until they are stopped."""

    def __init__(self, built, port):
        self.failures, self.versions, self.wrong = [], [[] for _ in range(CLIENTS)], []
        self.seconds: list[tuple[float, float]] = []  # when a call ended, and how long it took
        self._built, self._port, self._stop = built, port, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(seen,)) for seen in self.versions]

    def _ask(self, seen):
        with client_of(self._port) as client:
            while not self._stop.is_set():
                begin = time.monotonic()
                try:
                    answer = client.rank(REQUEST)
                except Exception as error:
                    self.failures.append(error)
                    continue
                self.seconds.append((time.monotonic(), time.monotonic() - begin))
                seen.append(answer.version)
                if not right(self._built, answer):
                    self.wrong.append(answer)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def swap(built, model_dir, asking, port, last):
    """Publish versions 2 to `last`, each when the one before answers all clients."""
    for version in range(2, last + 1):
        publish(built, model_dir, version)
        end = time.monotonic() + 120
        while not all(seen and seen[-1] == version for seen in asking.versions):
            assert time.monotonic() < end, f"version {version} does not answer"
            assert asking.failures == []
            time.sleep(0.05)
        if version > 2:
            shutil.rmtree(model_dir / str(version - 2))


def test_swaps_lose_no_call_and_never_go_back(built, kind, model_dir, tmp_path):
    port = next(_PORTS)
    with serving(kind, model_dir, port, tmp_path), client_of(port) as client:
        wait_for(client, 1)
        with Asking(built, port) as asking:
            swap(built, model_dir, asking, port, 4)
        assert asking.failures == []
        assert asking.wrong == []
        for seen in asking.versions:
            assert seen == sorted(seen)
            assert seen[-1] == 4
        # Back to the version before, as a rollback goes: the newest is taken away.
        publish(built, model_dir, 5)
        wait_for(client, 5)
        shutil.rmtree(model_dir / "5")
        end = time.monotonic() + 60
        while (answer := client.rank(REQUEST)).version != 4:
            assert right(built, answer)
            assert time.monotonic() < end
        assert right(built, answer)


def corrupt(path):
    (path / "saved_model.pb").write_bytes(b"no protocol buffer")


def without_variables(path):
    shutil.rmtree(path / "variables")


@pytest.mark.parametrize("damage", [corrupt, without_variables])
def test_a_bad_version_is_never_served_and_told(built, kind, model_dir, tmp_path, damage):
    port = next(_PORTS)
    with serving(kind, model_dir, port, tmp_path), client_of(port) as client:
        wait_for(client, 1)
        (first, _), _ = built
        shutil.copytree(first, model_dir / "staged")
        damage(model_dir / "staged")
        (model_dir / "staged").rename(model_dir / "2")
        end = time.monotonic() + 60
        while not any(state.version == 2 and state.error for state in client.status()):
            assert right(built, client.rank(REQUEST))
            assert time.monotonic() < end
        answer = client.rank(REQUEST)
        assert answer.version == 1
        assert right(built, answer)


def predict(stub, signature, inputs, timeout=30, **spec):
    call = predict_pb2.PredictRequest()
    call.model_spec.name, call.model_spec.signature_name = spec.pop("name", NAME), signature
    if "version" in spec:
        call.model_spec.version.value = spec["version"]
    if "label" in spec:
        call.model_spec.version_label = spec["label"]
    for name, values in inputs.items():
        call.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return {name: tf.make_ndarray(one) for name, one in stub.Predict(call, timeout=timeout).outputs.items()}


def poison():
    """Calls that are nobody's request, of the ranks and types that the signature wants."""
    call = led(rank_inputs([example("a", ["a"], [(["red"], ["c"])], ["a", "b"])]))
    many = np.full((1, contract.MAX_EVENTS + 50), b"a", object)
    return [
        {**call, "rec_items": many},
        {**call, "candidates": np.full((1, contract.MAX_CANDIDATES + 50), b"a", object)},
        {**call, "search_words": np.full((1, 2, contract.MAX_SEARCH_STRINGS + 50), b"red", object)},
        {**call, "search_items": np.full((1, 9, 1), b"a", object)},
        {**call, "user": np.array([b"a", b"b"], object)},
        {**call, "candidates": np.full((1, 3), b"\xff\xfe", object)},
        {name: values for name, values in call.items() if name != "user"},
    ]


def ask(stub, stop, call, expected, wrong, failed, counts):
    """One call after the other, each answer compared with the client's own."""
    for count in itertools.count():
        if stop.is_set():
            return counts.append(count)
        try:
            scores = predict(stub, "rank", call)["scores"][:, : expected.shape[1]]
        except grpc.RpcError as error:
            failed.append(error)
            continue
        if not np.allclose(scores, expected, rtol=1e-4, atol=1e-4):
            wrong.append(scores)


def disturb(stub, stop, failed):
    """Nonsense, one call after the other; none may be the server's fault."""
    for call in itertools.cycle(poison()):
        if stop.is_set():
            return
        try:
            predict(stub, "rank", call)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                failed.append(error)


def test_a_poisonous_client_disturbs_nobody_and_each_gets_its_own_answer(built, kind, model_dir, tmp_path):
    """Clients of unequal requests at once, which TensorFlow Serving merges and pads, and one that sends nonsense."""
    random = np.random.default_rng(3)
    asked = []
    for _ in range(7):
        names = random.choice(list("abcd"), size=int(random.integers(1, 9))).tolist()
        searches = [(["red"] * int(random.integers(1, 4)), ["c"]) for _ in range(int(random.integers(0, 4)))]
        asked.append(led(rank_inputs([example("u1", names, searches, random.permutation(list("abcd"))[: len(names)])])))
    with SessionModel(str(built[0][0])) as model:
        answers = [model.signatures["rank"](**call)["scores"] for call in asked]
    port, stop, wrong, failed, counts = next(_PORTS), threading.Event(), [], [], []
    with (
        serving(kind, model_dir, port, tmp_path),
        client_of(port) as client,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        wait_for(client, 1)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        threads = [
            threading.Thread(target=ask, args=(stub, stop, *pair, wrong, failed, counts))
            for pair in zip(asked, answers, strict=True)
        ]
        threads.append(threading.Thread(target=disturb, args=(stub, stop, failed)))
        for thread in threads:
            thread.start()
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join()
    assert (failed, wrong) == ([], [])
    assert min(counts) > 3


CODES = {
    "another model": ({"name": "other"}, {}, "rank", grpc.StatusCode.NOT_FOUND, "Servable not found for request"),
    "no such version": ({"version": 77}, {}, "rank", grpc.StatusCode.NOT_FOUND, "Servable not found for request"),
    "no such label": ({"label": "x"}, {}, "rank", grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version"),
    "no such signature": (
        {},
        {},
        "rang",
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "rang" not found',
    ),
    "an input is missing": ({}, {"user": None}, "rank", grpc.StatusCode.INVALID_ARGUMENT, "user"),
    "an input too many": ({}, {"more": [b"a"]}, "rank", grpc.StatusCode.INVALID_ARGUMENT, "more"),
    "rows disagree": ({}, {"user": [b"a", b"b"]}, "rank", grpc.StatusCode.INVALID_ARGUMENT, ""),
    "too many clicks": ({}, {"rec_items": [[b"a"] * 1_002]}, "rank", grpc.StatusCode.INVALID_ARGUMENT, "rec_items"),
    "garbage for an Example": ({}, {}, "serving_default", None, ""),
}


@pytest.mark.parametrize("case", CODES)
def test_codes(still, case):
    stub = still
    spec, changed, signature, code, said = CODES[case]
    call = {**led(rank_inputs([example("a", ["a"], [], ["a", "b"])])), **changed}
    call = {name: values for name, values in call.items() if values is not None}
    if signature == "serving_default":
        # A row that cannot be read is answered as one: NaN.
        scores = predict(stub, signature, {"examples": [b"\xff\xfe garbage"]})["scores"]
        assert np.isnan(scores).all()
        return
    with pytest.raises(grpc.RpcError) as error:
        predict(stub, signature, call, **spec)
    assert (error.value.code(), said in error.value.details()) == (code, True), error.value.details()


@pytest.fixture(scope="module", params=KINDS)
def still(request, built, tmp_path_factory):
    """A stub of a server that nobody disturbs."""
    folder, port = tmp_path_factory.mktemp("still"), next(_PORTS)
    (folder / NAME).mkdir()
    publish(built, folder / NAME, 1)
    with (
        serving(request.param, folder / NAME, port, folder),
        client_of(port) as client,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        wait_for(client, 1)
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def test_twenty_swaps_keep_latency_and_memory(built, kind, model_dir, tmp_path):
    """T1, T2 and T9: no call lost, none over half a second, the tail as it was, memory flat from the middle on."""
    port = next(_PORTS)
    with serving(kind, model_dir, port, tmp_path) as process, client_of(port) as client:
        wait_for(client, 1)
        with Asking(built, port) as asking:
            time.sleep(5)
            begin, memory = time.monotonic(), []
            for half in (11, 21):
                for version in range(half - 9, half + 1):
                    publish(built, model_dir, version)
                    while not all(seen[-1:] == [version] for seen in asking.versions):
                        time.sleep(0.05)
                    if version > 2:
                        shutil.rmtree(model_dir / str(version - 2))
                memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
            end = time.monotonic()
        steady = [seconds for when, seconds in asking.seconds if begin - 4 < when < begin]
        swapping = [seconds for when, seconds in asking.seconds if begin < when < end]
        tails = [round(np.percentile(part, 99) * 1e3, 1) for part in (steady, swapping)]
        print(f"{kind}: {len(asking.seconds)} calls, p99 {tails} ms, longest {max(swapping) * 1e3:.0f} ms, {memory} MB")
        assert (asking.failures, asking.wrong) == ([], [])
        assert memory[1] - memory[0] <= 50
        if kind == TF_SERVING:  # ours is for a first look: Python loads and answers in turns
            assert max(swapping) <= 0.5
            assert np.percentile(swapping, 99) <= 3 * np.percentile(steady, 99)
