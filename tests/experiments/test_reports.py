"""What an experiment writes, from runs that are made up."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import reports
from experiments.runs import Results
from experiments.systems import System
from experiments.tables import costs_table
from model.config import LcrSerConfig, SupervisedConfig

SEEDS, REQUESTS = (1, 2, 3), 40
LOG = SimpleNamespace(
    settings=SimpleNamespace(name="a_log", logs=SimpleNamespace(split="leave_one_out")),
    test_requests=type(
        "Requests",
        (),
        {
            "candidates": np.zeros((REQUESTS, 100)),
            "users": np.arange(REQUESTS),
            "__len__": lambda self: REQUESTS,
        },
    )(),
)


def system(name, steps):
    model = LcrSerConfig(num_users=3, num_items=4, num_words=5, dim=8, reasoning_steps=steps)
    return System(name, model, SupervisedConfig())


def metrics(value):
    return dict.fromkeys(("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10"), value)


@pytest.fixture
def finished(tmp_path):
    """Three systems, of which each is better than the one before."""
    results = Results(tmp_path)
    systems = {name: system(name, steps) for name, steps in (("Base", 0), ("+LCR", 1), ("+TRA", 2))}
    random = np.random.default_rng(0)
    for at, one in enumerate(systems.values()):
        for seed in SEEDS:
            ranks = random.integers(1, 60 // (1 + 3 * at), REQUESTS)
            value = 0.1 * (at + 1) + 0.01 * seed
            row = {"eval": metrics(value), "test": metrics(value), "parameters": 5, "steps": 7, "targets": 9}
            results.add(one.seeded(seed), {**row, "seconds": 2.0, "capped": False}, {"test": ranks})
    return results, systems


def test_pairs_are_each_row_against_the_one_before(finished):
    results, systems = finished
    table = reports.report_runs({"title": "Table 3", "compares": "previous"}, results, LOG, systems, SEEDS)
    assert [name for name, _ in table.rows] == ["Base", "+LCR", "+TRA"]
    assert table.rows[1][1][3].text == "0.2200 ± 0.0100"
    text = (results.folder / "tables.md").read_text()
    assert "Table 3 on a_log: 40 requests, 1 + 99 candidates, split leave_one_out, 3 seeds" in text
    assert [pair for pair in ("+LCR against Base", "+TRA against +LCR", "+TRA against Base") if pair in text] == [
        "+LCR against Base",
        "+TRA against +LCR",
    ]


def test_one_seed_is_one_seed(finished):
    results, systems = finished
    table = reports.report_runs({"title": "Table 3", "compares": []}, results, LOG, systems, SEEDS[:1])
    assert table.caption.endswith(", 1 seed")


def test_a_training_that_was_killed_and_went_on_has_no_time(finished):
    rows = finished[0].rows()
    rows[0]["seconds"], rows[1]["seconds"], rows[2]["seconds"] = None, 4.0, 6.0
    for row in rows[3:6]:
        row["seconds"] = None
    table = costs_table(rows, ["Base", "+LCR", "+TRA"])
    assert [cells[-1].text for _, cells in table.rows] == ["5", "", "2"]


def test_a_sweep_is_drawn_with_what_it_shows_in_words(finished):
    results, systems = finished
    config = {
        "sweep": {"label": "K", "setting": "model.reasoning_steps"},
        "points": {"Base": ("Supervised", 0), "+LCR": ("Supervised", 1), "+TRA": ("Supervised", 2)},
        "compares": [],
        "metrics": ["NDCG@5", "HR@5"],
    }
    reports.report_runs(config, results, LOG, systems, SEEDS)
    assert (results.folder / "picture_2.svg").read_text().startswith("<?xml")
    page = (results.folder / "tables.html").read_text()
    alts = re.findall('alt="([^"]*)"', page)
    assert alts[0] == "NDCG@5 on test against K. Supervised: 0 0.1200, 1 0.2200, 2 0.3200."
    assert len(alts) == 2


def test_nothing_that_has_finished_is_no_report(tmp_path):
    assert reports.report_runs({}, Results(tmp_path), LOG, {"Base": system("Base", 0)}, SEEDS) is None
    assert not list(tmp_path.iterdir())


def test_inference_time_is_told_over_the_first(tmp_path):
    class Timing:
        def __init__(self, seconds):
            self.median = seconds

        def over(self, other):
            return self.median / other.median

    config = {"title": "Table 4", "rounds": 3}
    table = reports.report_inference(config, tmp_path, LOG, {0: Timing(2.0), 5: Timing(2.5)})
    assert [[cell.text for cell in cells] for _, cells in table.rows] == [["2.000", "2.500"], ["+0.0", "+25.0"]]
    assert "K = 5" in (tmp_path / "tables.tex").read_text()
    assert (tmp_path / "picture_1.svg").exists()


def test_what_has_nothing_to_train_has_no_rate_of_training(tmp_path):
    rows = [
        {"system": "Popularity", "parameters": 0, "batch": 256, "requests_a_second": 12345.6, "memory": 7.2},
        {"system": "S", "parameters": 1000, "batch": 256, "rows_a_second": 99.6, "requests_a_second": 5, "memory": 8.9},
    ]
    table = reports.report_costs({}, tmp_path, LOG, rows)
    assert [[cell.text for cell in cells] for _, cells in table.rows] == [
        ["0", "256", "", "12,346", "7"],
        ["1,000", "256", "100", "5", "9"],
    ]
