"""Hundreds of wrong requests to a server in a process of its own; thousands are sent by `benchmarks.fuzz`."""

import collections
import shutil

import pytest
import tensorflow as tf

from tests.support.fuzz import MAX_GROWTH_MB, fuzz
from tests.support.toy_servable import Toy


@pytest.fixture
def log(tmp_path):
    return tmp_path / "server.log"


@pytest.mark.long
@pytest.mark.slow
def test_nothing_that_is_sent_breaks_the_server_or_changes_a_good_answer(exported, tmp_path, log):
    shutil.copytree(exported(1), tmp_path / "models" / "1")
    outcome = fuzz(tmp_path / "models", requests=600, seed=2026, max_growth_mb=MAX_GROWTH_MB, log=log)
    assert outcome.faults == []
    assert "Traceback" not in log.read_text(errors="replace")
    assert sum(outcome.answers.values()) == 600
    by_kind, by_signature = collections.defaultdict(set), collections.defaultdict(set)
    for signature, kind, status in outcome.answers:
        by_kind[kind].add(status)
        by_signature[signature].add(status)
    assert by_kind["good"] == {"OK"}
    assert set(by_signature) == {"rank", "serving_default", "lookup", "few"}
    assert all({"OK", "INVALID_ARGUMENT"} <= statuses for statuses in by_signature.values())
    assert {"NOT_FOUND", "FAILED_PRECONDITION"} <= by_kind["model, version, signature"]
    assert "RESOURCE_EXHAUSTED" in by_kind["long message"]
    assert "no gRPC" in by_kind["garbage"]


class Faulty(Toy):
    """Its rows are not independent, and one signature fails for no fault of the client's."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples):
        return {"scores": tf.fill([tf.size(examples), 10], tf.cast(tf.size(examples), tf.float32))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "ids")])
    def lookup(self, ids):
        name = tf.where(tf.reduce_any(ids > 1), "nowhere", "/dev/null")
        return {"rows": ids + tf.cast(tf.strings.length(tf.io.read_file(name)), tf.int64)}


@pytest.mark.slow
@pytest.mark.long
def test_faults_are_found(tmp_path, log):
    toy = Faulty(1)
    tf.saved_model.save(
        toy,
        str(tmp_path / "models" / "1"),
        signatures={name: getattr(toy, name) for name in ("rank", "serving_default", "lookup")},
    )
    outcome = fuzz(tmp_path / "models", requests=120, seed=1, max_growth_mb=0, log=log)
    for expected in (
        "lookup, wrong rows: NOT_FOUND: nowhere",
        "serving_default, wrong rows: rows [",
        "the server's memory grew by ",
    ):
        assert any(expected in fault for fault in outcome.faults), (expected, outcome.faults)
    assert not any(", good:" in fault for fault in outcome.faults)
