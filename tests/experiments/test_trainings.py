"""Systems of an experiment trained for a few steps: what is shared, and what each sees."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.runs import Results, run_all
from experiments.systems import systems_of
from model.config import GrpoConfig, SupervisedConfig
from model.training import supervised
from tests.support.random_logs import random_logs, small_config

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def experiment():
    timelines, requests = random_logs()
    return SimpleNamespace(
        shape=dataclasses.replace(small_config(), retrieval=False),
        supervised=SupervisedConfig(batch_size=64, max_epochs=1, learning_rate=0.02),
        grpo=GrpoConfig(num_trajectories=2, num_negatives=5, batch_size=32, max_steps=1, eval_every=1),
        timelines=timelines,
        eval_requests=requests,
        test_requests=requests,
    )


def test_second_stages_share_the_first_and_views_have_their_own(experiment, tmp_path, monkeypatch):
    config = {
        "systems": {
            "supervised": {},
            "GRPO": {"grpo": {}},
            "more steps": {"further": []},
            "shuffled": {"histories": {"shuffled": True}},
        }
    }
    trained, train = [], supervised.train

    def counting(*arguments, checkpoint_dir, **options):
        trained.append(checkpoint_dir)
        return train(*arguments, checkpoint_dir=checkpoint_dir, **options)

    monkeypatch.setattr(supervised, "train", counting)
    systems = systems_of(config, experiment)
    results = Results(tmp_path / "own")
    results.folder.mkdir()
    run_all(list(systems.values()), [1], results, experiment)
    rows = {name: results.row(system.seeded(1)) for name, system in systems.items()}
    # One folder for what three share; a stage of its own for more steps, and for the view.
    assert len(set(trained)) == 3
    assert rows["GRPO"]["eval"]["NDCG@5"] >= rows["supervised"]["eval"]["NDCG@5"]
    assert rows["more steps"]["eval"]["NDCG@5"] >= rows["supervised"]["eval"]["NDCG@5"]
    ranks = {name: results.ranks(system.seeded(1))["test"] for name, system in systems.items()}
    assert (ranks["shuffled"] != ranks["supervised"]).any()
    assert all(len(of_system) == len(experiment.test_requests) for of_system in ranks.values())
    assert not list((results.folder / "checkpoints").iterdir())  # all have finished


def test_what_is_similar_is_said_by_the_system_that_sees_everything(experiment, tmp_path):
    kind = {"kind": "unisar"}
    config = {"systems": {"some": {**kind, "histories": {"searches_above": 0.0}}, "all": kind}}
    systems = systems_of({**config, "model": {"dim": 8}}, experiment)
    results = Results(tmp_path / "own")
    results.folder.mkdir()
    run_all(list(systems.values()), [1], results, experiment)
    some, everything = (results.row(system.seeded(1)) for system in systems.values())
    assert np.isfinite(some["test"]["NDCG@5"]) and some["test"] != everything["test"]
