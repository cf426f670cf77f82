"""Versions come, go and break while clients ask."""

import shutil
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2, prediction_log_pb2

from components.pusher.manifest import MANIFEST_FILE, Facts, Manifest, file_table, model_fingerprint
from serving.client.client import RankingError
from serving.client.request import RankRequest, Search
from tests.support.toy_servable import NOBODY, bucket, expected_score

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
    until(lambda: _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"})


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


def _change_after_the_manifest(path):
    """As the Pusher leaves a version, and then a bit of its weights turns."""
    files = file_table(path)
    text = Manifest(2, model_fingerprint(files), 0.0, files, Facts()).to_json()
    (path / MANIFEST_FILE).parent.mkdir(exist_ok=True)
    (path / MANIFEST_FILE).write_text(text)
    (weights,) = path.glob("variables/*.data-*")
    data = bytearray(weights.read_bytes())
    data[0] ^= 1
    weights.write_bytes(data)


def _record(signature, **inputs):
    """Puts a warm-up request beside the model."""

    def damage(path):
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
        (path / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
            writer.write(log.SerializeToString())

    return damage


NOBODYS = {
    "user": [NOBODY],
    "rec_items": [["i"]],
    "search_words": [[["w"]]],
    "search_items": [[["x"]]],
    "candidates": [["a"]],
}


@pytest.mark.parametrize(
    ("push_arguments", "code", "says"),
    [
        ({"damage": _corrupt}, "DATA_LOSS", "Cannot parse file"),
        ({"damage": _lose_variables}, "DATA_LOSS", "variables"),
        ({"damage": _change_after_the_manifest}, "DATA_LOSS", "variables.data-00000-of-00001 has changed"),
        ({"signatures": ("lookup",)}, "FAILED_PRECONDITION",
         "version 2 lacks the signatures {rank}; it has {__saved_model_init_op,lookup}"),
        ({"damage": _record("rank", **NOBODYS)}, "FAILED_PRECONDITION",
         "version 2: 'rank' gives a warm-up request scores that are not finite"),
        ({"damage": _record("gone")}, "FAILED_PRECONDITION", 'Serving signature key "gone" not found.'),
        ({"damage": _record("lookup", ids=np.array([0, 7]))}, "INVALID_ARGUMENT", "indices[1] = 7 is not in [0, 2)"),
    ],
)  # fmt: skip
def test_broken_version_is_never_served_and_says_why(server, client, push, until, push_arguments, code, says, exported):
    """T4."""
    broken = push(2, **push_arguments)
    until(lambda: _states(client).get(2) == "END")
    with grpc.insecure_channel(server.address) as channel:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "lcr_ser"})
        newest, older = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert newest.status.error_code == getattr(grpc.StatusCode, code).value[0]
    assert says in newest.status.error_message
    assert (older.version, older.status.error_code, older.status.error_message) == (1, 0, "")
    failure = f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{broken}",status="fail"}} 1'
    assert failure in server.metrics.text().splitlines()
    assert client.rank(REQUEST).version == 1
    attempts = []
    server.manager._load = lambda *args: attempts.append(args)
    server.manager.refresh()
    assert attempts == []  # not tried again while its files are the same
    del server.manager._load
    shutil.rmtree(broken)
    shutil.copytree(exported(2), broken)
    until(lambda: client.rank(REQUEST).version == 2)
    assert client.status()[0].error == ""


def test_deleting_the_newest_version_rolls_back(client, push, until, model_dir):
    newest = push(2)
    until(lambda: client.rank(REQUEST).version == 2)
    shutil.rmtree(newest)
    until(lambda: client.rank(REQUEST).version == 1)
    until(lambda: _states(client) == {2: "END", 1: "AVAILABLE"})
    shutil.rmtree(model_dir / "1")
    until(lambda: not list(model_dir.iterdir()))
    assert client.rank(REQUEST).version == 1  # nothing is left to replace it


def test_recorded_requests_are_answered_before_a_version_is_served(server, client, push, until):
    push(2, _record("lookup", ids=np.array([0, 1])))
    until(lambda: client.rank(REQUEST).version == 2)
    assert 'model_name="lcr_ser",API="Predict",runtime="TF1"' in server.metrics.text()
