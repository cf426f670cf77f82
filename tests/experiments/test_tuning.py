"""The search gives every system its trials, once, on eval, and keeps the best."""

import json
from types import SimpleNamespace

import pytest
import yaml

from experiments import tuning
from experiments.runs import Results
from experiments.tuning import tune
from model.baselines.item_neighbours import ItemNeighboursConfig
from model.config import GrpoConfig, LcrSerConfig, SupervisedConfig

EXPERIMENT = SimpleNamespace(
    shape=LcrSerConfig(num_users=5, num_items=6, num_words=7),
    supervised=SupervisedConfig(),
    grpo=GrpoConfig(),
    timelines=SimpleNamespace(last_targets=lambda count: list(range(100))),
)
CONFIG = {
    "trials": 4,
    "search": {"supervised.learning_rate": {"min": 2e-3, "max": 1e-1, "log": True}, "model.mask_rate": [0.1, 0.2]},
    "systems": {
        "A": {"kind": "sasrec"},
        "B": {"kind": "popularity", "search": {}},
        "C": {"kind": "item_neighbours", "search": {"model.neighbours": [100, 101, 102, 103]}},
    },
}


@pytest.fixture
def tried(monkeypatch):
    """What is tried, with the larger learning rate or number of neighbours being better; nothing is trained."""
    found = []

    def _try(system, folder, experiment):
        value = getattr(system.model, "neighbours", 0) + system.supervised.learning_rate
        found.append((system.name, value))
        return {"NDCG@5": value / 100, "steps": 1}

    monkeypatch.setattr(tuning, "_try", _try)
    return found


def test_equal_numbers_of_trials_and_the_best_is_kept(tmp_path, tried):
    tune(CONFIG, Results(tmp_path), EXPERIMENT, seed=3)
    counts = {name: sum(one == name for one, _ in tried) for name in "ABC"}
    # There is nothing to choose for B, and four values for C.
    assert counts == {"A": 4, "B": 1, "C": 4}
    rates = [value for name, value in tried if name == "A"]
    # The settings as they stand come first, also from outside of the space, and are not drawn again.
    assert rates[0] == EXPERIMENT.supervised.learning_rate == 1e-3
    assert all(2e-3 <= rate <= 1e-1 for rate in rates[1:]) and len(set(rates)) == 4
    neighbours = [int(value) for name, value in tried if name == "C"]
    assert neighbours[0] == ItemNeighboursConfig.neighbours == 100 and sorted(neighbours) == [100, 101, 102, 103]
    best = yaml.safe_load((tmp_path / "best.yaml").read_text())
    # SASRec has no `mask_rate`: it is not searched for it.
    assert best == {"A": {"supervised": {"learning_rate": max(rates)}}, "B": {}, "C": {"model": {"neighbours": 103}}}
    rows = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert [row["system"] for row in rows] == [name for name, _ in tried]


def test_a_search_that_was_stopped_goes_on(tmp_path, tried, monkeypatch):
    tune({**CONFIG, "systems": {"A": CONFIG["systems"]["A"]}}, Results(tmp_path), EXPERIMENT, seed=3)
    assert len(tried) == 4
    tune(CONFIG, Results(tmp_path), EXPERIMENT, seed=3)
    assert [name for name, _ in tried[4:]] == ["B", *"CCCC"]


def test_two_processes_share_the_search(tmp_path, tried, monkeypatch, capsys):
    """What is searched by one is left alone by another; here the other one comes while the first is at a trial of A."""
    of_the_first, calls = tuning._try, []

    def _try(system, folder, experiment):
        if not calls:
            calls.append(system.name)
            # A lock belongs to an open file: this is a second opening, as another process's would be.
            tune(CONFIG, Results(tmp_path), EXPERIMENT, seed=3)
        return of_the_first(system, folder, experiment)

    monkeypatch.setattr(tuning, "_try", _try)
    tune(CONFIG, Results(tmp_path), EXPERIMENT, seed=3)
    assert [name for name, _ in tried] == [*"BCCCC", *"AAAA"]
    assert "A: another process is searching" in capsys.readouterr().out
    assert sorted(yaml.safe_load((tmp_path / "best.yaml").read_text())) == ["A", "B", "C"]
