"""What a run does with a log it cannot read, and after it was killed."""

import json
import shutil
import signal
import time

import pytest
import tensorflow as tf

from tests.support.workspace import ROOT, lines_by_component

RUN = ("run", "create", "--pipeline_path", str(ROOT / "tfx_pipeline"))


@pytest.fixture
def copied_log(log_dir, tmp_path):
    copy = tmp_path / "copied_log"
    shutil.copytree(log_dir, copy)
    return copy


def _broken_gzip(copy):
    path = copy / "rec_inter.csv.gz"
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.long
def test_a_log_that_cannot_be_used_ends_the_run_with_one_clear_line(first_run, workspace, copied_log):
    # The other ways in which a log can be unusable are tested at ExampleGen; what the user sees is the same.
    _broken_gzip(copied_log)
    result = workspace.command(*RUN, LCR_SER_LOG_DIR=str(copied_log), LCR_SER_NAME="bad")
    assert result.returncode == 1
    [error] = [line for line in result.stdout.splitlines() if line.startswith("Error")]
    assert "rec_inter.csv.gz" in error
    assert "Traceback" not in result.stdout + result.stderr
    assert not list((workspace.folder / "output" / "bad").glob("serving/*/*"))


def _wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError("The run did not get as far as the test waits for.")


@pytest.mark.long
def test_a_killed_run_goes_on_from_the_last_finished_component_and_checkpoint(first_run, workspace):
    longer = {"LCR_SER_SUPERVISED__MAX_EPOCHS": "8", "LCR_SER_SUPERVISED__PATIENCE": "8"}
    checkpoints = workspace.run_dir / "checkpoints"
    assert not list(checkpoints.glob("*"))
    process = workspace.start(*RUN, **longer)
    _wait_for(lambda: len(list(checkpoints.glob("*/latest/checkpoint"))) == 1)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    [folder] = checkpoints.glob("*/latest")
    steps_done = int(tf.train.latest_checkpoint(folder).rsplit("-", 1)[1])
    logs = set((workspace.run_dir / "logs").glob("*"))

    result = workspace.command(*RUN, LCR_SER_GRPO__MAX_STEPS="2", **longer)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = lines_by_component(result.stdout)
    for name in ("LogExampleGen", "StatisticsGen", "ExampleValidator", "Transform"):
        assert lines[name] == "cached"
    assert lines["SupervisedTrainer"].endswith(" s")
    [log] = set((workspace.run_dir / "logs").glob("*")) - logs
    steps = [
        int(line.split("step ")[1].split()[0])
        for line in log.read_text().splitlines()
        if "lcr_ser.progress" in line and "supervised" in line and "loss" in line
    ]
    assert steps[0] > steps_done
    # The new candidate was compared with the model that the first run pushed.
    metrics = json.loads((workspace.run_dir / "run.json").read_text())["metrics"]
    assert metrics["baseline"] == pytest.approx(first_run.figures["metrics"]["candidate"])
    assert not list(checkpoints.glob("*"))
