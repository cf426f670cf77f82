"""The Trainer's adapters: which checkpoints a run finds again, and what is left of its working folder."""

import dataclasses
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import run_fn as trainer
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.registry import make_config


def logs(first=0):
    return [
        kind(**{field.name: np.arange(first, 4) for field in dataclasses.fields(kind)})
        for kind in (Timelines, Requests)
    ]


class Stage:
    """Takes the place of the trainings: notes where they were to work and leaves a log there."""

    def __init__(self, monkeypatch, tmp_path):
        self.tmp_path, self.folders, self.logs = tmp_path, [], logs()
        self.model = types.SimpleNamespace(
            trainable_variables=[tf.Variable([0.0, 1.0])], compute_dtype="float32", variable_dtype="float32"
        )
        transform = types.SimpleNamespace(vocabulary_size_by_name=lambda name: 50)
        monkeypatch.setattr(trainer.tft, "TFTransformOutput", lambda path: transform)
        monkeypatch.setattr(trainer, "read_timelines", lambda files, part: self.logs[0])
        monkeypatch.setattr(trainer, "read_requests", lambda files, part: self.logs[1])
        monkeypatch.setattr(trainer, "load", lambda path: self.model)
        monkeypatch.setattr(trainer, "start_from", lambda path, *args: self.model)
        monkeypatch.setattr(trainer, "save_weights", lambda *args: None)
        monkeypatch.setattr(trainer, "Servable", lambda *args: types.SimpleNamespace(signatures=dict, fingerprint=7))
        monkeypatch.setattr(trainer, "save", lambda *args: None)
        monkeypatch.setattr(trainer, "describe", lambda *args, **more: None)
        monkeypatch.setattr(trainer.supervised, "train", self.train)
        monkeypatch.setattr(trainer.reinforcement, "train", self.train)

    def train(self, *args, checkpoint_dir, log_dir, start=None):
        self.start = start
        self.folders.append(Path(checkpoint_dir))
        Path(log_dir).mkdir(parents=True)
        Path(log_dir, "log.csv").write_text("step\n")
        return self.model

    def run(self, run_fn, uri="a", code="c", dim=16, base_model=None, **stage):
        """Gives the folder that the training got."""
        shape = {"num_users": 2, "num_items": 2, "num_words": 2, "dim": dim}
        self.model.config = make_config(shape)
        run_fn(
            types.SimpleNamespace(
                transform_output=uri,
                train_files=[],
                eval_files=[],
                base_model=base_model,
                serving_model_dir=uri,
                model_run_dir=str(self.tmp_path / "run" / uri),
                custom_config={
                    "model": shape,
                    "code": code,
                    "vocabulary": dict.fromkeys(("items", "users", "words"), "vocabulary"),
                    "checkpoints": str(self.tmp_path / "checkpoints"),
                    "supervised": stage,
                    "grpo": stage,
                },
            )
        )
        return self.folders[-1]


@pytest.fixture
def stage(monkeypatch, tmp_path):
    return Stage(monkeypatch, tmp_path)


@pytest.mark.parametrize("run_fn", [trainer.supervised_run_fn, trainer.grpo_run_fn])
def test_the_same_training_finds_its_checkpoints_wherever_its_inputs_are(stage, run_fn):
    assert stage.run(run_fn, uri="a") == stage.run(run_fn, uri="b")


@pytest.mark.parametrize("run_fn", [trainer.supervised_run_fn, trainer.grpo_run_fn])
def test_another_training_never_finds_them(stage, run_fn):
    before = stage.run(run_fn)
    found = [stage.run(run_fn, **change) for change in ({"code": "d"}, {"seed": 1}, {"dim": 32})]
    stage.logs = logs(first=1)
    found.append(stage.run(run_fn))
    assert len({before, *found}) == 5


def test_reinforcement_of_another_model_is_another_training(stage):
    before = stage.run(trainer.grpo_run_fn)
    assert before != stage.run(trainer.supervised_run_fn)
    stage.model.trainable_variables[0].assign([0.0, 2.0])
    assert stage.run(trainer.grpo_run_fn) != before


def test_a_warm_start_is_another_training_and_goes_on_from_that_model(stage):
    scratch = stage.run(trainer.supervised_run_fn)
    assert stage.start is None
    warm = stage.run(trainer.supervised_run_fn, base_model="pushed")
    assert stage.start is stage.model
    stage.model.trainable_variables[0].assign([0.0, 3.0])
    assert len({scratch, warm, stage.run(trainer.supervised_run_fn, base_model="pushed")}) == 3


def test_a_finished_training_leaves_its_logs_and_nothing_else(stage, tmp_path):
    leftover = Path(f"{stage.run(trainer.supervised_run_fn, uri='first')}-finished")
    leftover.mkdir()  # of a run that was killed while it deleted this
    (leftover / "half").write_text("deleted")
    folder = stage.run(trainer.supervised_run_fn, uri="second")
    assert (tmp_path / "run" / "second" / "log.csv").read_text() == "step\n"
    assert not list(folder.parent.iterdir())
