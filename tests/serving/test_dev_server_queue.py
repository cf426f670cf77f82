"""The queue: full, too long for a deadline, left by those who gave up, and drained."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from serving.dev_server.servable import LoadedVersion
from serving.dev_server.server import _WAITING, RankingServer

THREADS = 2


@pytest.fixture
def server(model_dir, push, until):
    push(1)
    with RankingServer(model_dir, threads=THREADS) as running:
        until(lambda: running.ready)
        yield running


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield PredictionServiceStub(channel)


@pytest.fixture
def gate(monkeypatch):
    """Calls wait at it, inside; `gate.began` counts those that are computed."""
    opened, predict = threading.Event(), LoadedVersion.predict
    opened.began = []

    def waiting(self, request):
        opened.began.append(request)
        opened.wait(60)
        return predict(self, request)

    monkeypatch.setattr(LoadedVersion, "predict", waiting)
    yield opened
    opened.set()


def _request():
    request = predict_pb2.PredictRequest(model_spec={"name": "lcr_ser", "signature_name": "lookup"})
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
    return request


def _codes(calls):
    return [call.code() for call in calls]


def _accepted(server, until, count):
    until(lambda: server._turns._held == count)


def test_a_full_queue_refuses_while_it_is_full_and_answers_all_that_it_took(server, stub, gate, until):
    """T10: those refused get their answer while nothing is computed; those accepted all get theirs."""
    taken = [stub.Predict.future(_request(), timeout=60) for _ in range(THREADS + _WAITING)]
    _accepted(server, until, THREADS + _WAITING)
    refused = [stub.Predict.future(_request(), timeout=60) for _ in range(3 * _WAITING)]
    assert set(_codes(refused)) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert "the queue is full: 2 calls are computed and 32 wait" in refused[0].details()
    assert len(gate.began) == THREADS
    gate.set()
    assert set(_codes(taken)) == {grpc.StatusCode.OK}
    assert stub.Predict(_request(), timeout=60).outputs["rows"].float_val == [2.0]


def test_a_call_is_refused_whose_turn_comes_after_its_deadline(server, stub, gate, until):
    held = [stub.Predict.future(_request(), timeout=60) for _ in range(THREADS)]
    _accepted(server, until, THREADS)
    server._turns._usual = 10.0  # seconds that a call usually takes
    refused = stub.Predict.future(_request(), timeout=4)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # expected in 10 / 2 s
    assert "a turn is expected in 5.000 s, after the deadline in " in refused.details()
    taken = stub.Predict.future(_request(), timeout=60)
    gate.set()
    assert set(_codes([*held, taken])) == {grpc.StatusCode.OK}


@pytest.mark.parametrize("way", ["deadline", "cancel"])
def test_who_gave_up_leaves_the_queue_and_is_not_computed(server, stub, gate, until, way):
    held = [stub.Predict.future(_request(), timeout=60) for _ in range(THREADS)]
    _accepted(server, until, THREADS)
    gone = stub.Predict.future(_request(), timeout=0.2 if way == "deadline" else 60)
    if way == "cancel":
        _accepted(server, until, THREADS + 1)
        gone.cancel()
    else:
        assert gone.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    _accepted(server, until, THREADS)
    gate.set()
    assert set(_codes(held)) == {grpc.StatusCode.OK}
    assert len(gate.began) == THREADS


def test_draining_says_so_and_answers_what_was_accepted(server, stub, gate, until):
    """T11."""
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="PredictionService"))
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        taken = [stub.Predict.future(_request(), timeout=60) for _ in range(THREADS + 3)]
        _accepted(server, until, THREADS + 3)
        draining = pool.submit(server.drain)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        late = stub.Predict.future(_request(), timeout=60)
        assert (late.code(), late.details()) == (grpc.StatusCode.UNAVAILABLE, "the server is being stopped")
        gate.set()
        assert set(_codes(taken)) == {grpc.StatusCode.OK}
        draining.result(10)


def test_health_is_not_serving_until_a_version_answers(model_dir, push, until):
    with RankingServer(model_dir, poll_seconds=0.05) as server, grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        def status(name):
            return health.Check(health_pb2.HealthCheckRequest(service=name)).status

        names = ("", "ModelService", "PredictionService")
        assert {status(name) for name in names} == {health_pb2.HealthCheckResponse.NOT_SERVING}
        push(1)
        until(lambda: {status(name) for name in names} == {health_pb2.HealthCheckResponse.SERVING})


def test_a_call_that_is_computed_keeps_its_version_loaded(server, stub, gate, push, until):
    held = stub.Predict.future(_request(), timeout=60)
    _accepted(server, until, 1)
    push(2)
    threading.Thread(target=server.manager.refresh).start()
    until(lambda: [state.state for state in server.manager.states()] == ["AVAILABLE", "UNLOADING"])
    time.sleep(0.05)
    gate.set()
    assert held.result().model_spec.version.value == 1
    until(lambda: [state.state for state in server.manager.states()] == ["AVAILABLE", "END"])
