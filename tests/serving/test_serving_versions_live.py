"""Versions come, go and break while clients ask."""

import shutil
import threading

import pytest

from serving.client.client import RankingError
from serving.client.request import RankRequest, Search
from tests.support.toy_servable import bucket, expected_score

REQUEST = RankRequest("u", ["a", "b", "c"], ["i"], [Search(["w"], ["x"])])


def _states(client):
    return {state.version: state.state for state in client.status()}


def _best(answer):
    top = answer.candidates[0]
    return top.score == pytest.approx(expected_score(answer.version, REQUEST, top.item))


def test_swap_loses_no_request_and_never_goes_back(client, push, until):
    stop, failures, versions = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                answer = client.rank(REQUEST)
                assert _best(answer), answer
                versions.append(answer.version)
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in (2, 3):
            push(version)
            until(lambda version=version: versions and versions[-1] == version)
    finally:
        stop.set()
        asking.join()
    assert failures == []
    assert set(versions) == {1, 2, 3}
    assert versions == sorted(versions)
    assert _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"}


def test_a_client_sends_what_the_served_kind_of_model_reads(client, push, until):
    assert _best(client.rank(REQUEST))
    push(2, signatures=("rank:rank_by_clicks", "serving_default"))
    until(lambda: _states(client).get(2) == "AVAILABLE")
    for candidate in client.rank(REQUEST).candidates:
        assert candidate.score == bucket(candidate.item) + 0.5 * bucket("i") + 2e4
    push(3)
    until(lambda: _states(client).get(3) == "AVAILABLE")
    assert client.rank(REQUEST).version == 3
    assert _best(client.rank(REQUEST))


def test_a_model_that_reads_times_is_sent_them_or_the_client_says_so(client, push, until):
    push(2, signatures=("rank:rank_by_times", "serving_default"))
    until(lambda: _states(client).get(2) == "AVAILABLE")
    timed = RankRequest("u", ["a", "b"], ["i"], rec_times=[1_764_036_000_007])
    assert {row.item: row.score for row in client.rank(timed).candidates} == {
        "a": bucket("a") + 7,
        "b": bucket("b") + 7,
    }
    with pytest.raises(RankingError, match=r"the served model reads \['rec_times'\]: give the time of every click"):
        client.rank(REQUEST)
    push(3)  # a model that reads none: the same request is answered
    until(lambda: _states(client).get(3) == "AVAILABLE")
    assert _best(client.rank(REQUEST))


def _corrupt(path):
    (path / "saved_model.pb").write_bytes(b"no protocol buffer")


def _lose_variables(path):
    shutil.rmtree(path / "variables")


@pytest.mark.parametrize("damage", [_corrupt, _lose_variables])
def test_broken_version_is_reported_and_the_old_one_answers(server, client, push, until, damage, exported):
    broken = push(2, damage)
    until(lambda: _states(client).get(2) == "END")
    state = client.status()[0]
    assert state.version == 2
    assert state.error
    assert client.rank(REQUEST).version == 1
    attempts = []
    server.manager._load = lambda *args: attempts.append(args)
    server.manager.refresh()
    assert attempts == []  # not tried again while its files are the same
    del server.manager._load
    shutil.copytree(exported(2), broken, dirs_exist_ok=True)
    until(lambda: client.rank(REQUEST).version == 2)
    assert client.status()[0].error == ""


def test_version_without_the_rank_signature_is_refused(client, push, until):
    push(2, signatures=("lookup",))
    until(lambda: _states(client).get(2) == "END")
    assert client.status()[0].error == "version 2 lacks the signatures ['rank']; it has ['lookup']"
    assert client.rank(REQUEST).version == 1


def test_deleting_the_newest_version_rolls_back(client, push, until, model_dir):
    newest = push(2)
    until(lambda: client.rank(REQUEST).version == 2)
    shutil.rmtree(newest)
    until(lambda: client.rank(REQUEST).version == 1)
    assert _states(client) == {2: "END", 1: "AVAILABLE"}
    shutil.rmtree(model_dir / "1")
    until(lambda: not list(model_dir.iterdir()))
    assert client.rank(REQUEST).version == 1  # nothing is left to replace it


def _record(path, signature):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto([0, 1], tf.int64))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def test_recorded_requests_are_answered_before_a_version_is_served(client, push, until):
    push(2, lambda path: _record(path, "lookup"))
    until(lambda: client.rank(REQUEST).version == 2)
    push(3, lambda path: _record(path, "gone"))
    until(lambda: _states(client).get(3) == "END")
    assert "signature 'gone' not found" in client.status()[0].error
    assert client.rank(REQUEST).version == 2
