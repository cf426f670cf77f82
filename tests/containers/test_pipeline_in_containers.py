"""The demo pipeline, compiled for Kubeflow, run step by step in containers of the image by kfp's own local runner."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from scripts import containers
from tests.support.workspace import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

USER = "54321:0"
"""No user of the image: a cluster gives a pod any number, and group 0."""
SMALL = {
    "LCR_SER_SUPERVISED__MAX_EPOCHS": "2",
    "LCR_SER_GRPO__MAX_STEPS": "10",
    "LCR_SER_GRPO__EVAL_EVERY": "10",
    "LCR_SER_EVALUATION__FULL_CATALOGUE_REQUESTS": "0",
}


@pytest.fixture(scope="module")
def kfp_python():
    """A Python whose kfp has a runner of containers: line A's lock holds one without, so it has a folder of its own."""
    python = next(filter(None, (shutil.which(f"python3.{minor}") for minor in (11, 12, 13))), None)
    if python is None:
        pytest.skip("kfp's local runner needs a Python of 3.11 to 3.13 on the PATH")
    folder = Path(containers.FOLDER) / "kfp"
    found = folder / "bin" / "python"
    if not (folder / "whole").exists():
        lock = (ROOT / "requirements" / "line-b.txt").read_text()
        pins = [re.search(rf"^{name}==[0-9.]+", lock, re.MULTILINE)[0] for name in ("kfp", "docker", "pyyaml")]
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", *pins], check=True)
        (folder / "whole").touch()
    return str(found)


class Runs:
    """A folder that all steps mount, and the runs in it."""

    def __init__(self, folder, image, docker, kfp_python):
        self.folder, self.image, self.docker, self.kfp_python = folder, image, docker, kfp_python
        self.root, self.output = folder / "root", folder / "runs"
        for path in (folder, self.root, self.output):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)  # of a volume that the group of every pod writes

    def settings(self, **overrides):
        kubeflow = {"image": self.image, "pipeline_root": "minio://unused/root", "output_dir": str(self.output)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LCR_SER_")}
        section = yaml.safe_dump(kubeflow, default_flow_style=True, width=10**6)
        return {**kept, **SMALL, "LCR_SER_KUBEFLOW": section, "LCR_SER_OUTPUT_DIR": str(self.folder), **overrides}

    def compile(self, name, **overrides):
        file = self.folder / f"{name}.yaml"
        command = [ROOT / ".venv/bin/lcr-ser", "compile", "--output", file]
        subprocess.run(command, cwd=ROOT, env=self.settings(**overrides), check=True, stdout=subprocess.DEVNULL)
        return file

    def start(self, file, cached=True):
        program = ROOT / "tests/support/kfp_local.py"
        command = [self.kfp_python, program, file, self.root, USER, "cached" if cached else "anew", self.folder]
        return subprocess.Popen(
            [str(part) for part in command],
            env=self.docker.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, file, cached=True):
        process = self.start(file, cached)
        output, _ = process.communicate()
        return process.returncode, output

    @property
    def versions(self):
        return sorted(int(path.name) for path in (self.output / "lcr_ser_demo/serving/lcr_ser_demo").glob("[0-9]*"))

    def newest(self, pattern):
        return max(self.root.glob(pattern), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, image, docker, kfp_python):
    return Runs(tmp_path_factory.mktemp("containers"), image, docker, kfp_python)


@pytest.fixture(scope="module")
def first(runs):
    status, output = runs.run(runs.compile("first"))
    assert status == 0, output[-3000:]
    return output


@pytest.fixture(scope="module")
def figures(runs, first):
    return json.loads(runs.newest("**/run.json").read_text())


def test_every_step_runs_and_a_version_is_pushed(runs, first):
    steps = yaml.safe_load((runs.folder / "first.yaml").read_text())["root"]["dag"]["tasks"]
    for step in steps:
        assert re.search(rf"Task .*{step}.* finished with status.*SUCCESS", first), step
    assert len(runs.versions) == 1


def test_a_run_on_one_machine_in_the_same_image_has_the_same_metrics(runs, figures):
    alone = runs.folder / "alone"
    alone.mkdir()
    alone.chmod(0o777)
    variables = {**SMALL, "LCR_SER_OUTPUT_DIR": str(alone), "LCR_SER_NAME": "lcr_ser_demo"}
    options = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    mount = f"{runs.folder}:{runs.folder}"
    runs.docker.run(
        "run", "--rm", "--network=none", "--hostname=localhost", "--user", USER, "--volume", mount,
        "--env", "OMP_NUM_THREADS=2", *options,
        runs.image, "tfx", "run", "create", "--pipeline_path", "/opt/lcr-ser/tfx_pipeline/", stdout=subprocess.DEVNULL,
    )  # fmt: skip
    expected = json.loads((alone / "lcr_ser_demo" / "run.json").read_text())
    for model in ("candidate", "popularity"):
        assert figures["metrics"][model] == pytest.approx(expected["metrics"][model], abs=1e-6), model


def test_a_second_run_repeats_nothing(runs, first):
    status, output = runs.run(runs.folder / "first.yaml")
    assert status == 0, output[-3000:]
    assert len(runs.versions) == 1
    assert not re.findall(r"supervised: step \d+ of", output)


@pytest.fixture(scope="module")
def killed(runs, first):
    """A run with another training, whose container is killed on the way, and a gate that no model passes.

    kfp's runner tries a step again as often as its retry policy says. Gives the step of the checkpoint that the kill
    left, and what the run printed from its next try on.
    """
    anew = {"LCR_SER_SUPERVISED__SEED": "7", "LCR_SER_SUPERVISED__CHECKPOINT_EVERY": "10"}
    process = runs.start(runs.compile("killed", LCR_SER_EVALUATION__MIN_NDCG_5="0.99", **anew))
    printed = []
    reader = threading.Thread(target=lambda: printed.append(process.communicate()[0]))
    reader.start()
    saved = _kill_a_training(runs, process)
    reader.join()
    [output] = printed
    assert process.returncode == 0, output[-3000:]
    _, failed, after = output.partition("FAILURE")
    assert failed, output[-3000:]
    return saved, after


def _kill_a_training(runs, process):
    checkpoints = runs.output / "lcr_ser_demo/checkpoints"
    while process.poll() is None:
        for recorded in checkpoints.glob("*/latest/checkpoint"):
            for container in runs.docker.output("ps", "--quiet", "--no-trunc").split():
                runs.docker.run("kill", container, stdout=subprocess.DEVNULL)
                return int(re.search(r'^model_checkpoint_path: ".*-(\d+)"', recorded.read_text(), re.MULTILINE)[1])
        time.sleep(0.1)
    raise AssertionError("the run ended before a training wrote a checkpoint")


def test_a_training_that_is_killed_goes_on_from_its_checkpoint(killed):
    saved, output = killed
    assert min(int(step) for step in re.findall(r"supervised: step (\d+) of \d+, loss", output)) > saved > 0


def test_a_gate_that_says_no_stops_the_push(runs, killed):
    assert len(runs.versions) == 1
    assert "NDCG@5" in json.loads(runs.newest("**/run.json").read_text())["push_reason"]
