"""Sizes against numbers counted by hand, speeds against times written by hand."""

import time

import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.util.tensor_util import make_tensor_proto

from components.report.gather.cost import model_cost, training_rate
from model.lcr_ser import LcrSer
from model.training.metrics_log import MetricsLog
from tests.support.random_logs import small_config


def test_every_number_and_every_byte_is_counted(tmp_path):
    for name, size in (("saved_model.pb", 11), ("variables/variables.index", 5), ("assets/sub/items", 700)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    config = small_config(reasoning_steps=0, aggregation="mean", post_norm=False)
    dim, tables = 8, (64 + 42 + 12) * 8
    positions = (5 + 6) * dim
    # Query, keys and values, output; hidden and output of the FFN.
    encoder = 4 * (dim * dim + dim) + 2 * (dim * dim + dim)
    head = (4 * dim * 12 + 12) + (12 * 6 + 6) + (6 * 1 + 1)
    assert model_cost(LcrSer(config), str(tmp_path)) == {
        "parameters": tables + positions + 2 * encoder + head,
        "embedding_parameters": tables,
        "model_bytes": 716,
    }


def _write_events(path, tag, points):
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(Event(wall_time=points[0][1], file_version="brain.Event:2").SerializeToString())
        for step, seconds in points:
            value = Summary.Value(tag=tag, tensor=make_tensor_proto(0.5))
            value.metadata.plugin_data.plugin_name = "scalars"
            writer.write(Event(step=step, wall_time=seconds, summary=Summary(value=[value])).SerializeToString())


def test_rate_is_that_of_the_steps_after_the_first_logged_one(tmp_path):
    # More points than TensorBoard keeps by default; the first step is slow and the last half quicker.
    points = [
        (1, 1000.0),
        *((10 * step, 1000.0 + 2 * step) for step in range(1, 41)),
        *((400 + 10 * step, 1080.0 + step) for step in range(1, 41)),
    ]
    _write_events(tmp_path / "events.out.tfevents.1.vm.1.0.v2", "supervised/loss", points)
    assert training_rate(str(tmp_path), 64, "supervised") == pytest.approx(799 * 64 / 120)
    assert training_rate(str(tmp_path), 64, "grpo") is None


def test_time_between_two_processes_does_not_count(tmp_path):
    _write_events(tmp_path / "events.out.tfevents.1.vm.1.0.v2", "grpo/loss", [(1, 100.0), (11, 105.0)])
    _write_events(tmp_path / "events.out.tfevents.9.vm.2.0.v2", "grpo/loss", [(9, 5000.0), (20, 5004.0)])
    # A process that was cut off after its first step.
    _write_events(tmp_path / "events.out.tfevents.5.vm.3.0.v2", "grpo/loss", [(9, 3000.0)])
    assert training_rate(str(tmp_path), 3, "grpo") == pytest.approx((10 + 11) * 3 / 9)


@pytest.mark.parametrize("points", [[], [(1, 100.0)]])
def test_one_point_gives_no_rate(tmp_path, points):
    if points:
        _write_events(tmp_path / "events.out.tfevents.1.vm.1.0.v2", "grpo/loss", points)
    assert training_rate(str(tmp_path), 3, "grpo") is None


def test_what_a_training_logs_is_found(tmp_path):
    log = MetricsLog("supervised", str(tmp_path))
    began = time.time()
    log.write(0, {}, {"NDCG@5": 0.1})
    log.write(1, {"loss": 0.5}, {})
    time.sleep(0.2)
    log.write(21, {"loss": 0.4}, {"NDCG@5": 0.2})
    assert 20 * 8 / (time.time() - began) < training_rate(str(tmp_path), 8, "supervised") < 20 * 8 / 0.19
