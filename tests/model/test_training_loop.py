"""The loop alone, with a model of one number: cut off anywhere, it ends as if it had not been."""

import csv

import keras
import pytest
import tensorflow as tf

from model.training.checkpoints import Checkpoints
from model.training.loop import Schedule, TrainingLoop
from model.training.metrics_log import MetricsLog

SCHEDULE = Schedule(
    stage="grpo", total_steps=20, eval_every=2, checkpoint_every=3, patience=2, evaluate_first=True, log_every=4
)
BEST = 10.0


class CutOff(Exception):
    pass


def train(folder):
    """Trains or goes on: the weight grows by the state, and the best one is that of step 4."""
    weight, state = keras.Variable(0.0), tf.Variable(0.0)

    def take_step(step):
        state.assign_add(1.0)
        weight.assign_add(state.value())
        return {"loss": tf.identity(weight.value)}

    def evaluator():
        return {"HR@1": float(weight), "NDCG@5": 1.0 / (1.0 + abs(float(weight) - BEST))}

    TrainingLoop(
        SCHEDULE,
        take_step,
        evaluator,
        state={"state": state},
        weights=[weight],
        batch_ids=lambda step: {},
        checkpoint_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "logs"),
    ).run()
    return float(weight), float(state), (folder / "logs" / "grpo.csv").read_text()


@pytest.fixture
def cut_off_before(monkeypatch):
    """Counts what the loop writes, and raises instead of writing for a given number of times."""
    calls = []

    def counted(owner, name, written):
        def writing(self, *args):
            calls.append(name)
            if len(calls) == limit[0]:
                raise CutOff
            written(self, *args)

        monkeypatch.setattr(owner, name, writing)

    limit = [0]
    for owner, name in ((Checkpoints, "save_latest"), (Checkpoints, "save_best"), (MetricsLog, "write")):
        counted(owner, name, getattr(owner, name))

    def start(number):
        calls.clear()
        limit[0] = number
        return calls

    return start


def test_progress_is_told_before_the_first_step(tmp_path, caplog):
    with caplog.at_level("INFO", logger="lcr_ser.progress"):
        train(tmp_path)
        first = caplog.records[0].progress
        assert (first.step, first.loss, first.metric) == (0, None, 1 / (1 + BEST))
        count = len(caplog.records)
        train(tmp_path)  # it was stopped at step 8, and is told where it goes on, which is nowhere
    assert [record.progress.step for record in caplog.records[count:]] == [8]


def test_a_training_stops_after_its_patience_and_gives_the_best_weight(tmp_path):
    weight, _, table = train(tmp_path)
    rows = list(csv.DictReader(table.splitlines()))
    assert weight == BEST
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 4, 6, 8]
    assert [row["eval/HR@1"] for row in rows] == ["0", "", "3", "10", "21", "36"]
    assert train(tmp_path) == (weight, 8.0, table)  # once more: there is nothing left to do


@pytest.mark.slow
def test_a_training_cut_off_before_any_of_its_writes_ends_the_same(tmp_path, cut_off_before):
    writes = cut_off_before(0)
    whole = train(tmp_path / "whole")
    names = tuple(writes)
    assert [names.count(name) for name in ("save_latest", "save_best", "write")] == [6, 3, 6]
    for number in range(1, len(names) + 1):
        folder = tmp_path / str(number)
        cut_off_before(number)
        with pytest.raises(CutOff):
            train(folder)
        cut_off_before(0)
        assert train(folder) == whole, f"cut off before write {number}: {names[number - 1]}"


def test_a_training_cut_off_again_and_again_ends_the_same(tmp_path, cut_off_before):
    whole = train(tmp_path / "whole")
    for number in (2, 4, 3, 5):
        cut_off_before(number)
        with pytest.raises(CutOff):
            train(tmp_path / "cut")
    cut_off_before(0)
    assert train(tmp_path / "cut") == whole
