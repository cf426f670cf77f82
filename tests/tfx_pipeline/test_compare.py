"""The command `compare`: what it prints and refuses, and that it is quick."""

import json
import resource
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from components.common.run_files import FIGURES_FILE
from components.evaluation.request_ranks import RANKS_FILE
from tests.support.run_pairs import make_run, write_run
from tfx_pipeline.commands.compare import compare

COMMAND = "import sys; from tfx_pipeline.cli import main; sys.argv = ['lcr-ser', *sys.argv[1:]]; main()"
RANKS = np.random.default_rng(2).integers(1, 30, 400)
MASKS = {"searches: some": np.arange(400) % 2 == 0}


@pytest.fixture
def runs(tmp_path):
    """Folders of two runs; of the second's requests, 300 are the first's, and on each of these it ranks better."""
    requests = np.where(np.arange(400) < 300, np.arange(400), np.arange(400) + 1000)
    wide = make_run(np.maximum(RANKS - 2, 1), requests, MASKS, "wide", {"model": {"dim": 64, "x": "[bold]|"}})
    return [write_run(make_run(RANKS, masks=MASKS, name="plain"), tmp_path / "a"), write_run(wide, tmp_path / "b")]


def _run(*arguments):
    result = CliRunner().invoke(compare, list(arguments))
    return result.exit_code, result.output


def _rows(output):
    rows = ([cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│"))
    return {row[0]: row[1:] for row in rows}


def _gain():
    """Mean of MRR over the requests of both."""
    return np.mean([1 / max(rank - 2, 1) - 1 / rank for rank in RANKS[:300]])


def test_two_runs_are_shown_side_by_side(runs):
    code, output = _run(*runs)
    rows = _rows(output)
    assert code == 0
    assert f"A: plain, {runs[0]}\nB: wide, {runs[1]}\n" in output
    assert rows["model.dim"] == ["32", "64"]
    assert rows["model.x"] == ["–", '"[bold]|"']
    assert rows["MRR"][0].startswith(f"{np.mean(1 / RANKS):.4f} (")
    assert rows["MRR"][2].startswith(f"{_gain():+.4f} (")
    assert rows["MRR"][3] == "0.002"  # the least that 1,000 resamples can tell
    assert rows["searches: some"][4] == "150"
    assert "the 300 requests that both sides have, of 400 and 400;" in output
    assert "The same on both sides: environment, data." in output
    assert output.endswith(f"next  lcr-ser compare {runs[0]} {runs[1]} --markdown\n")


def test_markdown_has_the_same_figures_and_nothing_else(runs):
    code, output = _run(*runs, "--markdown")
    assert code == 0
    lines = output.splitlines()
    assert lines[:2] == [f"- A: plain, {runs[0]}", f"- B: wide, {runs[1]}"]
    assert [line for line in lines if line.startswith("#")] == [
        "### Settings: what differs",
        "### Test split",
        "### NDCG@5 by slice",
    ]
    assert "| model.dim | 32 | 64 |" in lines
    assert r'| model.x | – | "\[bold\]\|" |' in lines
    shown = _rows(_run(*runs)[1])
    assert f"| MRR | {' | '.join(shown['MRR'])} |" in lines
    assert f"| searches: some | {' | '.join(shown['searches: some'])} |" in lines
    assert "next" not in output


def test_several_runs_of_a_side_are_seeds(runs, tmp_path):
    seed = write_run(make_run(np.minimum(RANKS, 20), masks=MASKS, name="plain"), tmp_path / "seed")
    code, output = _run(f"{runs[0]},{seed}", runs[1])
    means = [np.mean(1 / RANKS), np.mean(1 / np.minimum(RANKS, 20))]
    assert code == 0
    assert "A, mean ± std of 2 runs" in output
    assert _rows(output)["MRR"][0] == f"{np.mean(means):.4f} ± {abs(means[0] - means[1]) / np.sqrt(2):.4f}"
    assert f"A: plain, {seed}\n" in output


def test_without_common_requests_the_figures_are_shown_unpaired(runs, tmp_path):
    other = write_run(make_run(RANKS, np.arange(400) + 5000, MASKS), tmp_path / "other")
    code, output = _run(runs[0], other)
    assert code == 0
    assert "No test request is in both sides (400 and 400 requests)" in output
    assert len(_rows(output)["MRR"]) == 2
    assert "next" not in output


@pytest.mark.parametrize("name", [FIGURES_FILE, RANKS_FILE])
def test_a_missing_file_is_named_with_the_remedy(runs, tmp_path, name):
    (tmp_path / "b" / name).unlink()
    code, output = _run(*runs)
    assert code == 1
    assert f"Received: {runs[1]}, without {name}. Run it (again) with `make run`" in output


def test_figures_of_an_earlier_version_are_refused(runs, tmp_path):
    (tmp_path / "a" / FIGURES_FILE).write_text(json.dumps({"name": "old", "settings": {}}))
    code, output = _run(*runs)
    assert code == 1
    assert f"{tmp_path / 'a' / FIGURES_FILE} is of an earlier version, without environment, evaluation." in output


def test_the_command_line_compares_without_tensorflow_in_a_few_seconds(runs):
    watched = (
        f"try:\n    {COMMAND}\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in ('tensorflow', 'tfx', 'apache_beam') if name in sys.modules])"
    )
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", watched, "compare", *runs], capture_output=True, text=True, check=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "0 []"
    # Of the processor, since other tests run beside it; it waits for nothing else.
    assert ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime < 3.0
