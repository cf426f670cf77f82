"""The sampled log of requests: what is in it, who reads it, and that it never stops a call."""

import hashlib
import hmac
import logging
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_serving.apis import prediction_log_pb2

from components.curated_schema.component import SCHEMA_FILE
from components.data_check.comparison import measure_distances
from components.data_check.executor import Executor as DataCheck
from serving.client import History, RankingClient, RankRequest, Search
from serving.client.request_log import RequestLog, framed, records_of, request_examples
from tests.support import in_memory_statistics
from tests.support.checkable_servable import FIRST_TIME, example
from tests.support.recording_server import VERSION, RecordingServer
from tests.support.transform_graph import BEAM_ARGUMENTS

ROOT = Path(__file__).parents[2]
SALT = b"sixteen bytes at least"
REQUESTS = [
    RankRequest("ann", ["a", "b"], ["i", "j"], [Search(["w", "v"], ["x"]), Search(["t"])]),
    RankRequest("bob", ["c"], [], [Search([], ["y"])]),
]


@pytest.fixture(scope="module")
def server():
    with RecordingServer() as running:
        yield running


def _logs(folder):
    paths = sorted(str(path) for path in folder.glob("*.tfrecord"))
    return [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(paths).as_numpy_iterator()
    ]


def _hashed(user):
    return hmac.new(SALT, user.encode(), hashlib.sha256).hexdigest().encode()


def test_a_call_is_logged_with_its_version_and_signature_and_without_its_users(server, tmp_path):
    with RequestLog(tmp_path, 1.0, SALT) as log, RankingClient(server.address, log=log) as client:
        client.rank_batch(REQUESTS)
        client.recommend(History("ann"), 2)
    ranked, recommended = _logs(tmp_path)
    sent = server.asked[-2][1]
    request, response = ranked.predict_log.request, ranked.predict_log.response
    logged = {name: tf.make_ndarray(proto).tolist() for name, proto in request.inputs.items()}
    assert logged == {
        **{name: array.tolist() for name, array in sent.items()},
        "user": [_hashed("ann"), _hashed("bob")],
    }
    assert tf.make_ndarray(response.outputs["ranks"]).shape == (2, 3)
    for one, signature in ((ranked, "rank"), (recommended, "recommend")):
        spec = one.log_metadata.model_spec
        assert (spec.version.value, spec.signature_name) == (VERSION, signature)
        assert one.log_metadata.sampling_config.sampling_rate == 1.0
        assert one.log_metadata.timestamp_secs > 1_764_000_000
    assert b"ann" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert sent["user"].tolist() == [b"ann", b"bob"]  # the server got the ids themselves


@pytest.mark.parametrize(("rate", "fewest", "most"), [(0.0, 0, 0), (1.0, 400, 400), (0.25, 60, 145)])
def test_the_rate_is_the_share_that_is_logged(server, tmp_path, rate, fewest, most):
    random.seed(5)
    with RankingClient(server.address) as client:
        client.rank(REQUESTS[0])
    request, reply = server.calls[-1], server.Predict(server.calls[-1], _Context())
    with RequestLog(tmp_path, rate, SALT) as log:
        for _ in range(400):
            log.offer(_ours(request, "PredictRequest"), _ours(reply, "PredictResponse"))
    # At 0.25, 100 of 400 with a deviation of 9: five deviations to either side.
    assert fewest <= len(_logs(tmp_path)) <= most


class _Context:
    def invocation_metadata(self):
        return ()

    def time_remaining(self):
        return None

    def peer(self):
        return "none"


def _ours(message, name):
    from serving.client import wire

    return wire.CLASSES[f"tensorflow.serving.{name}"].FromString(message.SerializeToString())


def test_files_appear_when_they_are_full_or_the_log_is_closed(server, tmp_path):
    with RequestLog(tmp_path, 1.0, SALT, records_per_file=2) as log, RankingClient(server.address, log=log) as client:
        for _ in range(3):
            client.rank(REQUESTS[0])
        assert len(_logs(tmp_path)) == 2
        assert len(list(tmp_path.glob("*.open"))) == 1
    assert len(_logs(tmp_path)) == 3
    assert list(tmp_path.glob("*.open")) == []


def test_many_threads_write_whole_records(server, tmp_path):
    with RequestLog(tmp_path, 1.0, SALT, records_per_file=7) as log, RankingClient(server.address, log=log) as client:
        threads = [threading.Thread(target=lambda: [client.rank(REQUESTS[0]) for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(_logs(tmp_path)) == 40


def test_a_child_writes_a_file_of_its_own(server, tmp_path):
    program = f"""
import os
from pathlib import Path
from serving.client import RankingClient, RankRequest
from serving.client.request_log import RequestLog
with RequestLog(Path({str(tmp_path)!r}), 1.0, {SALT!r}) as log, RankingClient({server.address!r}, log=log) as client:
    client.rank(RankRequest("u", ["parent"]))
    child = os.fork()
    client.rank(RankRequest("u", ["child" if child == 0 else "parent"]))
    if child:
        os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
    paths = sorted(tmp_path.iterdir())
    said = [
        [tf.make_ndarray(log.predict_log.request.inputs["candidates"])[0, 1] for log in _logs_of(path)]
        for path in paths
    ]
    assert sorted(said) == [[b"child"], [b"parent", b"parent"]]


def _logs_of(path):
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records_of(path.read_bytes())]


def test_a_disk_that_refuses_stops_no_call(server, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with RequestLog(tmp_path / "file" / "below", 1.0, SALT) as log, RankingClient(server.address, log=log) as client:
        with caplog.at_level(logging.WARNING):
            assert client.rank(REQUESTS[0]).version == VERSION
    assert "a request was not logged in" in caplog.text


@pytest.mark.parametrize(
    ("rate", "salt", "says"),
    [(1.5, SALT, "`rate` should be from 0 to 1. Received: 1.5"), (0.1, b"short", "at least 16 bytes.* Received: 5")],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, rate, salt, says):
    with pytest.raises(ValueError, match=says):
        RequestLog(tmp_path, rate, salt)


@given(st.lists(st.binary(max_size=50), max_size=4))
def test_the_framing_is_that_of_tensorflow(records):
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for record in records:
                writer.write(record)
        written = file.read()
    assert b"".join(map(framed, records)) == written
    assert list(records_of(written)) == records


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:5], lambda data: data[:12] + b"?" + data[13:]]
)
def test_a_damaged_file_is_said_to_be(damage):
    with pytest.raises(ValueError, match="a damaged one at byte 0"):
        list(records_of(damage(framed(b"a record"))))


def _features(serialized):
    return {name: value for name, value in tf.train.Example.FromString(serialized).features.feature.items()}


def test_logged_requests_become_the_examples_that_serving_default_takes(server, tmp_path):
    timed = RankRequest(
        "ann", ["a", "b"], ["i", "j"], [Search(["w", "v"], ["x"], FIRST_TIME)], [FIRST_TIME, FIRST_TIME + 1]
    )
    server.reads["rank"] = (*server.reads["rank"], "rec_times", "search_times")
    try:
        with RequestLog(tmp_path, 1.0, SALT) as log, RankingClient(server.address, log=log) as client:
            client.rank(timed)
    finally:
        server.reads["rank"] = server.reads["rank"][:-2]
    with RequestLog(tmp_path, 1.0, SALT) as log, RankingClient(server.address, log=log) as client:
        client.rank_batch(REQUESTS)
        client.recommend(History("u"), 2)  # which has no candidates
    with_times, first, second = request_examples(log.SerializeToString() for log in _logs(tmp_path))
    expected = [
        example(_hashed("ann").decode(), ["i", "j"], [(["w", "v"], ["x"])], ["a", "b"], stored=True),
        example(_hashed("ann").decode(), ["i", "j"], [(["w", "v"], ["x"]), (["t"], [])], ["a", "b"]),
        example(_hashed("bob").decode(), [], [([], ["y"])], ["c"]),
    ]
    for made, wanted in zip((with_times, first, second), expected, strict=True):
        unlabelled = _features(wanted)
        del unlabelled["label"]
        assert _features(made) == unlabelled


@pytest.mark.slow
def test_data_check_reads_them_for_its_skew(server, tmp_path):
    with RequestLog(tmp_path / "log", 1.0, SALT) as log, RankingClient(server.address, log=log) as client:
        for _ in range(2):
            client.rank_batch(REQUESTS)
    made = tmp_path / "served.tfrecord"
    command = [sys.executable, "-m", "serving.client.request_log", str(tmp_path / "log" / "*.tfrecord"), "--to", made]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("4 requests of 1 files in ")
    context = DataCheck.Context(
        tmp_dir=str(tmp_path), unique_id="1", make_beam_pipeline_fn=lambda: beam.Pipeline(argv=BEAM_ARGUMENTS)
    )
    served = DataCheck(context)._served_statistics(str(made))
    schema = text_format.Parse(SCHEMA_FILE.read_text(), schema_pb2.Schema())
    assert dict(tfdv.validate_statistics(served, schema).anomaly_info) == {}
    # The clicks served are i and j, half each; those of the training side i and z.
    current = in_memory_statistics.statistics([example("u", ["i", "z"], [(["w"], ["x"])])] * 4)
    [skew] = measure_distances(current, served, {"rec_items": {"infinity_norm": 0.3}}, "skew")
    assert skew.value == pytest.approx(0.5)


def test_no_files_are_an_error(tmp_path):
    command = [sys.executable, "-m", "serving.client.request_log", str(tmp_path / "*"), "--to", str(tmp_path / "made")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "match none" in done.stderr
