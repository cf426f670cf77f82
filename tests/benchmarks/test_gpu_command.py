"""The command that measures on a GPU, at tiny sizes and on a CPU."""

import argparse
import json
import math
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu, gpu_plan
from benchmarks.gpu_demo import SPLITS, write_settings
from benchmarks.gpu_journal import Journal
from benchmarks.gpu_parts import distances
from benchmarks.gpu_plan import CARD, CORRECTNESS, FULL, LAUNCHES, SMALL, THROUGHPUT, TOLERANCES, rows_of
from model.config import GrpoConfig, SupervisedConfig
from tests.support import log_files
from tests.support.random_logs import random_logs, small_config

ROOT = Path(__file__).resolve().parents[2]
ARGS = argparse.Namespace(small=True, demo=None)


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def packed(tmp_path):
    """A log as `gpu_demo.pack` leaves it."""
    timelines, requests = random_logs()
    for split in SPLITS:
        made = log_files.timeline_examples(timelines) if split == "train" else log_files.request_examples(requests)
        log_files.write_split(tmp_path / "demo" / f"Split-{split}", list(made), files=2)
    write_settings(tmp_path / "demo", small_config(), SupervisedConfig(batch_size=16), GrpoConfig(batch_size=16))
    return tmp_path / "demo"


@pytest.mark.long
def test_the_command_measures_every_row_that_needs_no_card(tmp_path, packed):
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), "--small", "--demo", str(packed)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("device: ")
    detail = json.loads((tmp_path / "out" / "gpu.json").read_text())["detail"]
    values = {(row["part"], row["what"]): row["value"] for row in detail["rows"]}
    missing = {(row["part"], row["what"]): row["left_out"] for row in detail["left_out"]}
    assert sorted([*values, *missing]) == sorted((row.part, row.what) for row in rows_of(SMALL))
    assert all(map(math.isfinite, values.values()))
    assert {key for key in missing if key[0] != LAUNCHES and "tf32" not in key[1]} == set()
    assert set(missing.values()) <= {"there is no GPU", "tf32 is a GPU's, and there is no GPU"}
    # The CPU against itself, in another process.
    assert all(values[CORRECTNESS, what] == 0 for what in TOLERANCES)
    for (part, what), value in values.items():
        assert value > 0 or part in (CORRECTNESS, "reasoning", "tests/model"), (part, what)
    for stage in (gpu_plan.SUPERVISED, gpu_plan.GRPO):
        of_optimizer = values["operations", f"{stage}, of these the optimizer's"]
        assert 0 < of_optimizer < values["operations", stage]
        assert f"left out: {LAUNCHES}: there is no GPU" in done.stdout


@pytest.mark.slow
def test_without_a_card_the_full_sizes_are_refused_at_once(tmp_path):
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("TensorFlow finds no GPU: `--small` runs all of it on a CPU, at tiny sizes.\n")
    assert not (tmp_path / "out" / "gpu.json").exists()


def test_each_row_is_there_once():
    for scale in (SMALL, FULL):
        keys = [(row.part, row.what) for row in rows_of(scale)]
        assert len(set(keys)) == len(keys)


def test_distances_are_told_from_the_cpu():
    expected = {
        "losses": np.array([2.0, 4.0]),
        "group_losses": np.array([0.0, -0.5]),
        "norms": np.array([1.0, 8.0]),
        "ranks": np.array([1, 5, 7, 9], np.int32),
    }
    found = {
        "losses": np.array([2.0, 4.04]),
        "group_losses": np.array([0.1, -0.5]),
        "norms": np.array([1.4, 8.2]),
        "ranks": np.array([1, 3, 7, 10], np.int32),
    }
    assert list(distances(found, expected).values()) == pytest.approx([0.01, 0.2, 0.05, 0.5, 2])


def test_a_part_is_cut_off_when_its_time_is_over_and_the_next_one_runs(tmp_path):
    journal = Journal(tmp_path / "a.jsonl", seconds=60)

    def first():
        journal.give("first", "a", 1.0)
        time.sleep(30)
        journal.give("first", "b", 2.0)

    journal.run("first", 1.0, first)
    journal.run("second", 10.0, lambda: journal.give("second", "c", 3.0))
    assert lines_of(tmp_path / "a.jsonl") == [
        {"part": "first", "what": "a", "value": 1.0},
        {"part": "first", "what": "", "left_out": "its 1 s were over"},
        {"part": "second", "what": "c", "value": 3.0},
    ]
    assert not journal.failed


def test_a_part_that_fails_is_told_and_the_next_one_runs(tmp_path):
    journal = Journal(tmp_path / "a.jsonl", seconds=60)
    journal.run("first", 9, lambda: journal.give("first", "a", math.nan))
    journal.run("second", 9, lambda: journal.give("second", "b", 3.0))
    first, second = lines_of(tmp_path / "a.jsonl")
    assert first["left_out"] == "failed: FloatingPointError: first: a should be finite. Received: nan."
    assert second["value"] == 3.0
    assert journal.failed


def test_nothing_begins_after_the_process_s_time(tmp_path):
    journal = Journal(tmp_path / "a.jsonl", seconds=0.5)
    journal.run("first", 9, lambda: pytest.fail("it began"))
    assert lines_of(tmp_path / "a.jsonl") == [{"part": "first", "what": "", "left_out": "no time left for it"}]


def stand_in(monkeypatch, lines):
    """Processes that write these lines, by process, and end with these statuses."""

    def run(self, processes):
        for name in processes:
            with (self._folder / f"{name}.jsonl").open("w") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines.get(name, []))
            self._tell(name)
        return dict.fromkeys(processes, 0)

    monkeypatch.setattr(gpu.Run, "_run", run)
    monkeypatch.setattr(gpu.Run, "_test", lambda self: None)


def test_the_status_is_1_where_a_value_is_not_the_cpu_s(tmp_path, monkeypatch, capsys):
    what, tolerance = next(iter(TOLERANCES.items()))
    for factor, status in ((0.9, 0), (1.1, 1)):
        value = {"part": CORRECTNESS, "what": what, "value": factor * tolerance}
        stand_in(monkeypatch, {CARD: [{"machine": {}}, value]})
        assert gpu.Run(SMALL, tmp_path / "gpu", ARGS).measure() == status
        assert ("WRONG" in capsys.readouterr().out) == bool(status)


def test_reasons_reach_the_rows_that_they_are_about(tmp_path, monkeypatch, capsys):
    """A row's own, else that of its step, else that of its part in its process."""
    row = gpu_plan.cell(gpu_plan.SUPERVISED, 8, gpu_plan.TF32)
    step = gpu_plan.cell(gpu_plan.GRPO, 8)
    stand_in(
        monkeypatch,
        {
            CARD: [
                {"part": THROUGHPUT, "what": row, "left_out": "own"},
                {"part": LAUNCHES, "what": step, "left_out": "of the step"},
                {"part": LAUNCHES, "what": "", "left_out": "of the part"},
            ]
        },
    )
    run = gpu.Run(SMALL, tmp_path / "gpu", ARGS)
    run.measure()
    run.report(tmp_path)
    left_out = {
        (one["part"], one["what"]): one["left_out"]
        for one in json.loads((tmp_path / "gpu.json").read_text())["detail"]["left_out"]
    }
    assert left_out[THROUGHPUT, row] == "own"
    assert left_out[LAUNCHES, f"{step}: kernels"] == "of the step"
    assert left_out[LAUNCHES, f"{gpu_plan.cell(gpu_plan.SUPERVISED, 8)}: kernels"] == "of the part"
    assert left_out["first step", "with XLA"] == "its process ended before"
    assert len(left_out) == len(rows_of(SMALL))
    assert "left out: launches: of the part" in capsys.readouterr().out
