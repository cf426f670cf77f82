"""An order of a Trainer: handed over, found, carried out, taken over; and the meeting of those who do."""

import json
import os
import socket
import threading
import types
from pathlib import Path

import pytest

from components.trainer import orders
from components.trainer.meeting import Cluster, cluster_of, meet
from components.trainer.settings import DistributionSettings
from tests.support.ports import free_ports


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(orders, "_SECONDS", 0.05)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def step(tmp_path, stage="supervised", **changes):
    """What TFX gives a Trainer."""
    for name in ("graph/metadata/schema", "train/a", "train/b", "eval/a", "pushed/weights"):
        put(tmp_path / name, name)
    values = dict(
        transform_output=str(tmp_path / "graph"),
        train_files=[str(tmp_path / "train" / "*")],
        eval_files=[str(tmp_path / "eval" / "*")],
        base_model=None,
        serving_model_dir=str(tmp_path / stage / "Format-Serving"),
        model_run_dir=str(tmp_path / stage / "run"),
        custom_config={"checkpoints": str(tmp_path / "checkpoints"), "batch": 3},
    )
    return types.SimpleNamespace(**{**values, **changes})


def train(fn_args):
    """Writes what it found, as a model."""
    found = [Path(pattern).parent for pattern in (*fn_args.train_files, *fn_args.eval_files)]
    texts = [path.read_text() for directory in found for path in sorted(directory.iterdir())]
    texts.append(Path(fn_args.transform_output, "metadata", "schema").read_text())
    if fn_args.base_model:
        texts.append(Path(fn_args.base_model, "weights").read_text())
    put(Path(fn_args.serving_model_dir, "model"), f"{fn_args.custom_config['batch']}: {' '.join(texts)}")
    put(Path(fn_args.model_run_dir, "log.csv"), "step")


def carried_out(folder, how=train, wait_seconds=20.0):
    thread = threading.Thread(
        target=lambda: done.append(orders.carry_out(folder, {"supervised": how, "grpo": how}, True, wait_seconds))
    )
    done = []
    thread.start()
    return thread, done


def test_a_step_takes_over_what_workers_made_of_copies_of_its_inputs(tmp_path):
    fn_args = step(tmp_path, base_model=str(tmp_path / "pushed"))
    folder = orders.folder_of(fn_args.custom_config["checkpoints"], "supervised")
    thread, done = carried_out(folder)
    orders.hand_over("supervised", fn_args, 20)
    thread.join()
    assert done == [True]
    made = (tmp_path / "supervised" / "Format-Serving" / "model").read_text()
    assert made == "3: train/a train/b eval/a graph/metadata/schema pushed/weights"
    assert (tmp_path / "supervised" / "run" / "log.csv").read_text() == "step"
    assert {path.name for path in Path(folder).iterdir()} <= {"done", "alive"}, "nothing large stays"
    assert orders.carry_out(folder, {}, True, 1) is False, "a worker that is started again finds nothing to do"


def test_a_step_that_is_tried_again_finds_its_order(tmp_path):
    fn_args = step(tmp_path)
    folder = Path(orders.folder_of(fn_args.custom_config["checkpoints"], "supervised"))
    with pytest.raises(TimeoutError, match="should be heard of every 0.2 s. Received: nothing"):
        orders.hand_over("supervised", fn_args, 0.2)
    put(folder / "inputs" / "mark", "of the first try")
    again = step(tmp_path, serving_model_dir=str(tmp_path / "second"), model_run_dir=str(tmp_path / "run"))
    with pytest.raises(TimeoutError):
        orders.hand_over("supervised", again, 0.2)
    assert (folder / "inputs" / "mark").exists()
    again.custom_config["batch"] = 4
    with pytest.raises(TimeoutError):
        orders.hand_over("supervised", again, 0.2)
    assert not (folder / "inputs" / "mark").exists(), "another training is another order"


def test_the_first_stage_takes_away_what_an_earlier_run_left_of_the_second(tmp_path):
    fn_args = step(tmp_path)
    old = Path(orders.folder_of(fn_args.custom_config["checkpoints"], "grpo"), "done")
    put(old, "{}")
    with pytest.raises(TimeoutError):
        orders.hand_over("supervised", fn_args, 0.1)
    assert not old.exists()


def test_a_step_waits_as_long_as_it_hears_of_its_workers(tmp_path):
    fn_args = step(tmp_path)
    folder = orders.folder_of(fn_args.custom_config["checkpoints"], "supervised")
    slept = threading.Event()

    def slowly(fn_args):
        slept.wait(1.5)
        train(fn_args)

    thread, _ = carried_out(folder, slowly)
    orders.hand_over("supervised", fn_args, 0.7)
    thread.join()
    assert (tmp_path / "supervised" / "Format-Serving" / "model").exists()


def test_a_worker_that_fails_leaves_the_order_open(tmp_path):
    fn_args = step(tmp_path)
    folder = orders.folder_of(fn_args.custom_config["checkpoints"], "supervised")
    with pytest.raises(TimeoutError):
        orders.hand_over("supervised", fn_args, 0.1)

    def fail(fn_args):
        raise ConnectionError("lost")

    with pytest.raises(ConnectionError):
        orders.carry_out(folder, {"supervised": fail}, True, 1)
    assert not Path(folder, "done").exists()
    assert orders.carry_out(folder, {"supervised": train}, True, 1) is True


def test_a_worker_without_an_order_says_what_is_missing(tmp_path):
    with pytest.raises(TimeoutError, match=r"should hold the order.json of a waiting Trainer within 0.1 s"):
        orders.carry_out(str(tmp_path), {}, True, 0.1)


def config(index=1, kind="worker", **jobs):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_a_chief_comes_first():
    jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    assert cluster_of(config(1, **jobs)) == Cluster(["a:1", "b:1", "c:1"], 2)
    assert cluster_of(config(0, "chief", **jobs)) == Cluster(["a:1", "b:1", "c:1"], 0)
    assert cluster_of({}) is None and cluster_of({"TF_CONFIG": ""}) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        config(worker=["a:1", "b:1"], ps=["c:1"]),
        config(2, worker=["a:1", "b:1"]),
        config(0, "evaluator", worker=["a:1"]),
    ],
)
def test_a_cluster_of_other_tasks_is_refused(environment):
    with pytest.raises(ValueError, match="`TF_CONFIG` should name the workers of the job"):
        cluster_of(environment)


def test_workers_meet_whoever_comes_first():
    ports = free_ports(3)
    came, all_came = [], threading.Barrier(3)

    def come(index):
        meet(Cluster([f"localhost:{port}" for port in ports], index), 30)
        # TensorFlow's server then has the port, and who is late finds that one.
        with socket.create_server(("", ports[index])):
            came.append(index)
            all_came.wait(30)

    threads = [threading.Timer(delay, come, [index]) for index, delay in enumerate((0.0, 0.5, 1.2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == [0, 1, 2]


@pytest.mark.parametrize(("host", "reason"), [("no-such-worker.invalid", ".+"), ("localhost", "Connection refused")])
def test_a_worker_that_does_not_come_is_named_with_the_reason(host, reason):
    own, other = free_ports(2)
    cluster = Cluster([f"localhost:{own}", f"{host}:{other}"], 0)
    expected = rf"Worker 1 should answer at {host}:{other} within 0.1 s. Received: {reason}. 1 of 2 workers are missing"
    with pytest.raises(TimeoutError, match=expected):
        meet(cluster, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "ps"}, "`distribution.strategy` should be one of none, mirrored, multi_worker. Received: 'ps'."),
        ({"device": "tpu"}, "`distribution.device` should be one of auto, cpu, gpu. Received: 'tpu'."),
        (
            {"device": "cpu", "strategy": "mirrored"},
            "`distribution.device` should be auto or gpu where .* is not none. Received: cpu, mirrored.",
        ),
        ({"wait_seconds": 0}, "`distribution.wait_seconds` should be at least 1. Received: 0."),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DistributionSettings(**changes)


def test_a_process_of_a_job_has_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    assert not orders.has_workers()
    monkeypatch.setitem(os.environ, "TF_CONFIG", "{}")
    assert orders.has_workers()
