"""What a system is trained with, and that each run is done once."""

import dataclasses
import json
import multiprocessing
import os
from types import SimpleNamespace

import numpy as np
import pytest

from components.trainer import placement
from components.trainer.settings import DistributionSettings
from experiments import runs
from experiments.runs import Results, run_all
from experiments.systems import CONFIGS, read_config, systems_of
from experiments.tuning import nested
from model.config import GrpoConfig, LcrSerConfig, SupervisedConfig
from model.registry import KINDS

SIZES = dict(num_users=10, num_items=20, num_words=30, dim=16, rec_length=7, search_length=5)
EXPERIMENT = SimpleNamespace(
    timelines=SimpleNamespace(last_targets=lambda count: np.arange(1000)),
    shape=LcrSerConfig(**SIZES, reasoning_steps=3, retrieval=True),
    supervised=SupervisedConfig(learning_rate=0.25, max_epochs=9),
    grpo=GrpoConfig(max_steps=7),
)


def test_a_baseline_has_its_authors_settings_and_the_lengths_of_the_log():
    config = {
        "model": {"dim": 24},
        "supervised": {"max_epochs": 50},
        "systems": {
            "SASRec": {"kind": "sasrec", "supervised": {"patience": 8}, "grpo": {}},
            "LCR-SER": {"kind": "lcr_ser", "grpo": {"max_steps": 3}},
        },
    }
    found = systems_of(config, EXPERIMENT, {"SASRec": {"model": {"dropout": 0.3}, "supervised": {"max_epochs": 60}}})
    sasrec, ours = found["SASRec"], found["LCR-SER"]
    assert (sasrec.model.kind, sasrec.model.dim, sasrec.model.rec_length, sasrec.model.num_items) == (
        "sasrec",
        24,
        7,
        20,
    )
    assert (sasrec.model.dropout, sasrec.model.norm, sasrec.model.retrieval) == (0.3, "query", False)
    assert (sasrec.supervised.max_epochs, sasrec.supervised.patience, sasrec.supervised.learning_rate) == (60, 8, 0.25)
    assert (ours.model.reasoning_steps, ours.model.dim, ours.supervised.max_epochs) == (3, 24, 50)
    assert (ours.grpo.max_steps, sasrec.grpo.max_steps) == (3, 7)


def test_a_digest_tells_settings_and_seeds_apart():
    one = systems_of({"systems": {"S": {"kind": "sasrec"}}}, EXPERIMENT)["S"]
    other = systems_of({"systems": {"S": {"kind": "sasrec", "model": {"dropout": 0.1}}}}, EXPERIMENT)["S"]
    digests = {system.seeded(seed).digest for system in (one, other) for seed in (1, 2)}
    assert len(digests) == 4
    assert one.seeded(1).digest in digests


def test_a_setting_that_a_model_does_not_have_is_refused():
    with pytest.raises(TypeError, match="reasoning_steps"):
        systems_of({"systems": {"S": {"kind": "sasrec", "model": {"reasoning_steps": 1}}}}, EXPERIMENT)


@pytest.mark.parametrize("name", ["table2", "tune", "cost"])
def test_our_configs_name_every_kind_once(name):
    kinds = [(own or {}).get("kind", "lcr_ser") for own in read_config(name)["systems"].values()]
    assert sorted(kinds) == sorted(KINDS)
    assert set(systems_of(read_config(name), EXPERIMENT)) == set(read_config(name)["systems"])


def test_an_experiment_that_is_not_there_is_refused():
    with pytest.raises(
        FileNotFoundError, match="should be one of .*table2, .*tune, or a YAML file. Received: nothing."
    ):
        read_config("nothing")


@pytest.mark.parametrize("name", [path.stem for path in CONFIGS.glob("*.yaml")])
def test_every_config_of_ours_makes_systems_of_its_own(name):
    config = read_config(name)
    systems = systems_of(config, EXPERIMENT)
    assert set(systems) == set(config["systems"])
    assert not any("," in name for name in systems)  # `--systems` separates them by commas
    assert len({system.seeded(1).digest for system in systems.values()}) == len(systems)
    tuned = {own.get("tuned", name) for name, own in config["systems"].items()}
    assert tuned <= set(read_config("table2")["systems"]) or "sweep" in config


def test_a_sweep_makes_a_system_of_each_value():
    config = read_config("fig6")
    assert config["points"]["With RL (K = 3)"] == ("With RL", 3)
    systems = systems_of(config, EXPERIMENT)
    assert [name for name in systems if name.startswith("Supervised")] == [f"Supervised (K = {k})" for k in range(6)]
    assert (systems["With RL (K = 5)"].model.reasoning_steps, systems["With RL (K = 5)"].grpo) == (5, EXPERIMENT.grpo)
    assert systems["With RL (K = 5)"].first_stage.digest == systems["Supervised (K = 5)"].digest


def test_what_tuning_found_gives_way_to_what_an_ablation_takes_away():
    config = {"systems": {"Base": {"tuned": "LCR-SER", "supervised": {"tcl_weight": 0.0}}}}
    found = {"LCR-SER": {"supervised": {"tcl_weight": 0.7, "learning_rate": 0.125}}}
    stage = systems_of(config, EXPERIMENT, found)["Base"].supervised
    assert (stage.tcl_weight, stage.learning_rate) == (0.0, 0.125)


def test_further_steps_are_as_many_as_those_of_grpo():
    grpo = GrpoConfig(max_steps=7, updates_per_rollout=3, batch_size=8, eval_every=5, learning_rate=0.5, patience=2)
    log = SimpleNamespace(
        shape=EXPERIMENT.shape,
        supervised=EXPERIMENT.supervised,
        grpo=grpo,
        timelines=SimpleNamespace(last_targets=lambda count: np.arange(85)),
    )
    config = {"systems": {"own": {"further": []}, "as GRPO": {"further": ["learning_rate", "num_negatives"]}}}
    own, like = (system.seeded(10).further for system in systems_of(config, log).values())
    # 7 rollouts of 3 updates each; 85 targets are ten steps of 8, evaluated every five.
    assert (own.max_steps, own.batch_size, own.evaluations_per_epoch, own.patience) == (21, 8, 2, 2)
    assert (own.learning_rate, own.num_negatives) == (0.25, EXPERIMENT.supervised.num_negatives)
    assert (like.learning_rate, like.num_negatives, like.seed) == (0.5, grpo.num_negatives, 1010)


def test_a_log_of_short_epochs_waits_longer():
    config = {"supervised": {"batch_size": 100, "patience": 5, "max_epochs": 50}, "systems": {"S": {}}}
    # An epoch of 1,000 targets has ten steps, and one evaluation.
    stage = systems_of({**config, "patience_steps": 81, "cap_steps": 990}, EXPERIMENT)["S"].supervised
    assert (stage.patience, stage.max_epochs) == (9, 99)
    stage = systems_of({**config, "patience_steps": 40, "cap_steps": 400}, EXPERIMENT)["S"].supervised
    assert (stage.patience, stage.max_epochs) == (5, 50)


def test_a_view_of_histories_has_one_stage():
    config = {"systems": {"S": {"kind": "lcr_ser", "grpo": {}, "histories": {"shuffled": True}}}}
    with pytest.raises(ValueError, match="should have one stage. Received: two of S"):
        systems_of(config, EXPERIMENT)


def test_names_of_settings_become_sections():
    assert nested({"supervised.l2_weight": 1, "model.dim": 2, "model.dropout": 3}) == {
        "supervised": {"l2_weight": 1},
        "model": {"dim": 2, "dropout": 3},
    }


@pytest.fixture
def two_systems():
    config = {"systems": {"A": {"kind": "sasrec"}, "B": {"kind": "popularity"}}}
    return list(systems_of(config, EXPERIMENT).values())


@pytest.fixture
def trained(monkeypatch):
    """Records what is trained; nothing is."""
    found = []

    def run_one(system, checkpoints, experiment, full, *, look_at_states):
        if len(found) == trained.limit:
            raise KeyboardInterrupt
        found.append((system.name, system.supervised.seed))
        row = {"eval": {"NDCG@5": 0.1}, "test": {"NDCG@5": 0.2}, "steps": 1, "capped": False, "seconds": 1.0}
        return row, {"test": np.array([system.supervised.seed])}, {"seen": 1} if look_at_states else None

    trained = SimpleNamespace(found=found, limit=None)
    monkeypatch.setattr(runs, "run_one", run_one)
    return trained


def own(tmp_path, name="experiment"):
    """Results in a folder without neighbours but those of the same test."""
    (tmp_path / name).mkdir(exist_ok=True)
    return Results(tmp_path / name)


def test_what_has_finished_is_not_run_again(tmp_path, two_systems, trained):
    results = own(tmp_path)
    trained.limit = 3
    with pytest.raises(KeyboardInterrupt):
        run_all(two_systems, [1, 2], results, None)
    trained.limit = None
    run_all(two_systems, [1, 2], results, None)
    # Every system is seen once before any is seen twice.
    assert trained.found == [("A", 1), ("B", 1), ("A", 2), ("B", 2)]
    assert [(row["system"], row["seed"]) for row in results.rows()] == trained.found
    assert results.ranks(two_systems[0].seeded(2))["test"].tolist() == [2]
    assert results.row(two_systems[0].seeded(3)) is None


def test_what_another_experiment_has_found_is_taken_over(tmp_path, two_systems, trained):
    one, other, looking = (own(tmp_path, name) for name in ("one", "other", "looking"))
    run_all(two_systems[:1], [1, 2], one, None)
    renamed = [dataclasses.replace(two_systems[0], name="+A"), two_systems[1]]
    run_all(renamed, [1, 2], other, None)
    assert trained.found == [("A", 1), ("A", 2), ("B", 1), ("B", 2)]
    assert [(row["system"], row["seed"]) for row in other.rows()] == [("+A", 1), ("B", 1), ("+A", 2), ("B", 2)]
    assert other.ranks(two_systems[0].seeded(2))["test"].tolist() == [2]
    assert other.rows()[0] == {**one.rows()[0], "system": "+A"}
    # Nobody has looked at the states yet, and nobody ranked all items.
    run_all(two_systems[:1], [1], looking, None, look_at_states=True)
    assert trained.found[4:] == [("A", 1)]
    run_all(two_systems[:1], [3], own(tmp_path, "full"), None, full=5)
    assert trained.found[5:] == [("A", 3)]


def test_a_card_that_is_asked_for_and_not_there_is_refused(tmp_path, two_systems, trained, monkeypatch):
    monkeypatch.setattr(placement, "cards", lambda: 0)
    with pytest.raises(ValueError, match="`distribution.device` should be auto or cpu"):
        run_all(two_systems, [1], own(tmp_path), None, distribution=DistributionSettings(device="gpu"))
    assert trained.found == []


def test_a_run_of_another_process_that_lives_is_left_to_it(tmp_path, two_systems, trained):
    results = own(tmp_path)
    with results.claim(two_systems[0].seeded(1)) as first, results.claim(two_systems[0].seeded(1)) as second:
        assert (first, second) == (True, False)
        run_all(two_systems, [1], results, None)
    assert trained.found == [("B", 1)]


def test_what_says_what_is_similar_is_trained_by_one_process(tmp_path):
    config = {
        "systems": {
            "all": {"kind": "unisar"},
            "none": {"kind": "unisar", "histories": {"searches_above": 1}},
            "some": {"kind": "unisar", "histories": {"searches_above": 0.5}},
        }
    }
    everything, nothing, some = (system.seeded(1) for system in systems_of(config, EXPERIMENT).values())
    assert (everything.reference, nothing.reference) == (None, None)
    assert some.reference.digest == everything.digest
    results = own(tmp_path)
    with results.claim(everything) as first, results.claim(nothing) as second, results.claim(some) as third:
        assert (first, second, third) == (True, True, False)
    with results.claim(some) as first, results.claim(everything) as second:
        assert (first, second) == (True, False)
    assert not list((results.folder / "claims").iterdir())


def test_the_claim_of_a_process_that_is_gone_does_not_count(tmp_path, two_systems, trained):
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    results = own(tmp_path)
    claims = results.folder / "claims"
    claims.mkdir()
    (claims / two_systems[0].seeded(1).digest).write_text(str(process.pid))
    run_all(two_systems, [1], results, None)
    assert len(trained.found) == 2
    assert not list(claims.iterdir())
    assert [json.loads(line)["system"] for line in (results.folder / "results.jsonl").read_text().splitlines()] == [
        "A",
        "B",
    ]
