"""How traces are read, on traces that are made up."""

import types

import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import trace


def plane_of(space, name, lines):
    """A plane of lines by name: when each begins, nanoseconds, and events: name, offset, duration, picoseconds."""
    plane = space.planes.add(name=name)
    for title, begin, events in lines:
        line = plane.lines.add(name=title, timestamp_ns=begin)
        for event, offset, duration in events:
            number = len(plane.event_metadata) + 1
            plane.event_metadata[number].name = event
            line.events.add(metadata_id=number, offset_ps=offset, duration_ps=duration)
    return plane


def test_intervals_that_overlap_count_once():
    assert trace.union([(10, 20), (0, 5), (15, 30), (12, 14), (30, 31), (40, 41)]) == 5 + 21 + 1
    assert trace.union([]) == 0


def test_activity_is_that_of_the_streams_of_all_cards():
    """Two steps. Milliseconds: 0 to 2 and 1 to 3 on two streams, 5 to 6 on one that begins at 4; 2 in step 2."""
    ms, space = 10**9, xplane_pb2.XSpace()
    compute = [("gemm", 0, 2 * ms), ("MemcpyD2H", 20 * ms, ms)]
    copies = [("MemcpyH2D", ms, 2 * ms), ("MemcpyH2D", 20 * ms, ms), ("Memset", 21 * ms, ms)]
    late = [("relu", ms, ms), ("MemcpyD2D", ms, ms)]
    lines = [
        ("Stream #1(Compute,MemcpyD2H)", 0, compute),
        ("Stream #2", 0, copies),
        ("Stream #3", 4_000_000, late),
        ("XLA Modules", 0, [("a module", 0, 50 * ms)]),
        ("TensorFlow Ops", 0, [("MatMul", 0, 50 * ms)]),
    ]
    plane_of(space, "/device:GPU:0", lines)
    plane_of(space, "/host:CPU", [("Stream of no card", 0, [("a:MatMul", 0, 50 * ms)])])
    activity = trace.device_activity(space, 2)
    assert activity == trace.DeviceActivity(
        kernels=1.0, to_device=1.0, to_host=0.5, on_device=1.0, busy_ms=pytest.approx((3 + 1 + 2) / 2)
    )


def test_a_trace_without_a_card_has_no_activity():
    space = xplane_pb2.XSpace()
    plane_of(space, "/host:CPU", [("a thread", 0, [("a:MatMul", 0, 10)])])
    assert trace.device_activity(space, 1) is None


def test_operations_are_those_of_the_host_and_not_what_runs_a_function():
    space = xplane_pb2.XSpace()
    events = [
        ("a/b:MatMul", 0, 2 * 10**9),
        (f"{trace.SCOPE}/c:Mul", 5, 10**9),
        (f"{trace.SCOPE}_1/d:Mul", 5, 10**9),
        ("ExecutorState::Process", 0, 1),
        ("EagerExecute: __inference_step_1:Step", 0, 1),
        ("TFE_Py_Execute:Step", 0, 1),
        ("no operation", 0, 1),
    ]
    plane_of(space, "/host:CPU", [("a thread", 0, events), ("another", 0, events[:2])])
    plane_of(space, "/device:GPU:0", [("TensorFlow Ops", 0, [("a/b:MatMul", 0, 1)])])
    found = trace.operations(space)
    assert found == {
        ("MatMul", "a/b"): [2.0, 2.0],
        ("Mul", f"{trace.SCOPE}/c"): [1.0, 1.0],
        ("Mul", f"{trace.SCOPE}_1/d"): [1.0],
    }
    assert trace.count(found, 1) == (5, 3)


def test_operations_of_an_optimizer_are_counted_as_they_run():
    """A step of three products, a square root and four updates: eight operations but reads, four of them named."""
    weight = tf.Variable(tf.ones([16, 16]))

    def apply(gradients):
        for gradient in gradients:
            weight.assign_sub(gradient)

    optimizer = trace.name_optimizer(types.SimpleNamespace(apply=apply))

    @tf.function(autograph=False)
    def step(value):
        product = value @ value @ value @ value
        optimizer.apply([product] * 4)
        return tf.sqrt(product)

    value = tf.ones([16, 16])
    step(value)
    space, wall = trace.record(lambda: step(value), 3)
    found = trace.operations(space)
    # oneDNN has kernels of its own.
    assert sum(len(times) for (kind, _), times in found.items() if kind in ("MatMul", "_MklMatMul")) == 3 * 3
    assert trace.count(found, 3) == (8, 4)
    assert wall > 0
