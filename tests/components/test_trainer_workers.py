"""Two workers train both stages for a waiting step of the pipeline; one is killed on the way."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.servable.saving import load
from tests.support import trainer_step
from tests.support.checkable_servable import example as request
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
WAIT = 300


class Job:
    """The processes of a job; every one of them has scratch space of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.addresses = [f"localhost:{port}" for port in free_ports(2)]
        self.started = []

    def start(self, *arguments, name, **environment):
        (self.folder / "scratch" / name).mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.txt", "w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "TMPDIR": str(self.folder / "scratch" / name),
                    "TF_USE_LEGACY_KERAS": "1",
                    **environment,
                },
            )
        self.started.append(process)
        return process

    def workers(self, attempt):
        orders = [str(self.folder / "checkpoints" / "orders" / stage) for stage in ("supervised", "grpo")]
        return [
            self.start(
                "tfx_pipeline.kubeflow.worker",
                *orders,
                name=f"worker-{index}-{attempt}",
                TF_CONFIG=json.dumps(
                    {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": index}}
                ),
            )
            for index in range(2)
        ]

    def said(self, name):
        return (self.folder / f"{name}.txt").read_text()


def steps_of_checkpoint(folder):
    """The step of the recorded checkpoint of the training under way; 0 where there is none."""
    for state in (folder / "checkpoints").glob("*/latest/checkpoint"):
        try:
            return int(re.search(r'model_checkpoint_path: ".*-(\d+)"', state.read_text())[1])
        except FileNotFoundError:
            return 0
    return 0


def wait_until(condition, *processes):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        assert all(process.poll() is None for process in processes), "a process has ended"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job whose second worker is killed after some steps, and which is then started again."""
    job = Job(tmp_path_factory.mktemp("job"))
    trainer_step.write_inputs(job.folder)
    try:
        step = job.start("tests.support.trainer_step", str(job.folder), name="step", TF_CONFIG="")
        chief, other = job.workers(attempt=1)
        wait_until(lambda: steps_of_checkpoint(job.folder) >= 4, step, chief, other)
        other.send_signal(signal.SIGKILL)
        job.ended = chief.wait(WAIT)
        job.reached = steps_of_checkpoint(job.folder)
        job.waits = step.poll() is None
        for process in (*job.workers(attempt=2), step):
            assert process.wait(WAIT) == 0, [job.said(path.stem)[-2000:] for path in sorted(job.folder.glob("*.txt"))]
        yield job
    finally:
        for process in job.started:
            process.kill()
            process.wait()


@pytest.mark.long
@pytest.mark.slow
class TestJob:
    def test_losing_a_worker_ends_the_other_one_with_a_line(self, job):
        assert job.ended == 1 and job.waits
        last = job.said("worker-0-1").splitlines()
        assert [line for line in last if line.startswith("Error: Another worker was lost, which ends the whole job.")]

    def test_the_job_goes_on_from_the_checkpoint(self, job):
        assert 4 <= job.reached < trainer_step.SUPERVISED["max_steps"]
        for index in range(2):
            told = re.findall(r"supervised: step (\d+) of \d+, loss", job.said(f"worker-{index}-2"))
            steps = [int(step) for step in told]
            assert steps[0] == job.reached + 1, "the first step is told of whatever its time"
            assert steps[-1] == trainer_step.SUPERVISED["max_steps"]

    def test_there_is_one_servable(self, job):
        models = {str(path.parent.relative_to(job.folder)) for path in job.folder.rglob("saved_model.pb")}
        assert models == {"graph/transform_fn", "supervised/Format-Serving", "grpo/Format-Serving"}
        directory = job.folder / "grpo" / "Format-Serving"
        assert (directory / "assets.extra" / "tf_serving_warmup_requests").exists()
        rank = tf.saved_model.load(str(directory)).signatures["serving_default"]
        requests = [request("u", ["i"], [(["w"], ["i"])], candidates) for candidates in (["a", "b"], ["c", "i"])]
        scores = rank(examples=tf.constant(requests))["scores"].numpy()
        assert scores.shape == (2, 2) and np.isfinite(scores).all()
        trained = load(str(directory))
        assert all(np.isfinite(weight.numpy()).all() for weight in trained.trainable_variables)

    @pytest.mark.parametrize("stage", ["supervised", "grpo"])
    def test_the_chief_alone_kept_logs(self, job, stage):
        with open(job.folder / stage / "run" / f"{stage}.csv") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file)]
        assert steps == sorted(set(steps))
        assert steps[-1] == {**trainer_step.SUPERVISED, **getattr(trainer_step, stage.upper())}["max_steps"]
        assert not list(job.folder.glob("scratch/worker-1-2/*")), "scratch space is deleted"

    def test_nothing_else_is_left(self, job):
        left = [path for path in (job.folder / "checkpoints").rglob("*") if path.is_file()]
        assert {path.name for path in left} == {"alive", "done"}
