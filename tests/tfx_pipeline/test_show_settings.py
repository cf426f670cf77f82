"""`lcr-ser settings`: every value with where it comes from."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfx_pipeline.commands.show_settings import settings
from tfx_pipeline.settings import REPOSITORY, load

FILE = """\
defaults:
  name: mine
  log_dir: /data/log
  vocabulary: {}
  logs: {split: time}
  data_check:
    drift:
      search_words: {jensen_shannon: 0.3}
      rec_items: {jensen_shannon: 0.5}
  model: {dim: 64}
  supervised: {batch_size: 512}
  warm_start: false
  grpo: {batch_size: 64}
  evaluation:
    min_ndcg_5: 0.03
    max_ndcg_5_drop: 0.005
    thresholds: {all: {NDCG@5: {significance: 0.01}}}
  infra_validation: {platform: docker, requests: 3}
  push: {keep_versions: 5}
profiles:
  demo: {}
  small:
    name: small
    model:
      dim: 32
      rec_length: 7
    infra_validation: null
"""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("LCR_SER_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "settings.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("LCR_SER_SETTINGS", str(path))
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path))
    return path


def _run(*arguments):
    result = CliRunner().invoke(settings, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def _told(*arguments):
    found = json.loads(_run("--json", *arguments))["settings"]
    return {name: (one["value"], one["from"]) for name, one in found.items()}


@pytest.mark.parametrize(
    ("name", "value", "origin"),
    [
        ("name", "small", "profile small, line 23"),
        ("warm_start", False, "defaults, line 12"),
        ("logs.split", "time", "defaults, line 5"),
        ("logs.num_negatives", 99, "default of the code"),
        ("logs.rec_length", 7, "follows model.rec_length"),
        ("logs.log_dir", "/data/log", "follows log_dir"),
        ("model.dim", 16, "LCR_SER_MODEL__DIM"),
        ("model.rec_length", 7, "profile small, line 26"),
        ("model.mlp_units", [200, 80], "default of the code"),
        # A variable that holds a section is laid over it.
        ("supervised.batch_size", 512, "defaults, line 11"),
        ("supervised.patience", 4, "LCR_SER_SUPERVISED"),
        # So are thresholds; every other mapping is replaced.
        ("evaluation.thresholds.all.NDCG@5.significance", 0.01, "defaults, line 17"),
        ("evaluation.thresholds.all.MRR.min", 0.1, "LCR_SER_EVALUATION__THRESHOLDS"),
        ("data_check.drift.rec_items.jensen_shannon", 0.2, "LCR_SER_DATA_CHECK__DRIFT"),
        # The profile took the whole section away before the variable brought it back.
        ("infra_validation.platform", "docker", "LCR_SER_INFRA_VALIDATION__PLATFORM"),
        ("infra_validation.requests", 16, "default of the code"),
    ],
)
def test_each_value_comes_from_where_it_says(monkeypatch, name, value, origin):
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "16")
    monkeypatch.setenv("LCR_SER_SUPERVISED", "{patience: 4}")
    monkeypatch.setenv("LCR_SER_EVALUATION__THRESHOLDS", "{all: {MRR: {min: 0.1}}}")
    monkeypatch.setenv("LCR_SER_DATA_CHECK__DRIFT", "{rec_items: {jensen_shannon: 0.2}}")
    monkeypatch.setenv("LCR_SER_INFRA_VALIDATION__PLATFORM", "docker")
    told = _told("--profile", "small")
    assert told[name] == (value, origin)
    assert "data_check.drift.search_words.jensen_shannon" not in told


def test_it_prints_what_a_run_takes(file):
    output = _run("--profile", "small").splitlines()
    assert output[0] == f"profile small of {file}"
    # A long value goes on in a line without a name.
    rows = [line.split(maxsplit=2) for line in output[2:] if line[1:2].strip()]
    assert ["model.dim", "32", "profile small, line 25"] in [[cell.strip() for cell in row] for row in rows]
    names = [name for name, *_ in rows]
    assert names[:4] == ["name", "output_dir", "log_dir", "vocabulary.items"]
    assert {name.partition(".")[0] for name in names} == {*load("small").in_full(), "log_dir", "output_dir"}


def test_a_wrong_setting_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("LCR_SER_MODEL__DIM", "0")
    result = CliRunner().invoke(settings, [])
    assert result.exit_code == 1
    assert result.output == "Error: `dim` should be at least 1. Received: 0. Set in LCR_SER_MODEL__DIM.\n"


def test_it_loads_neither_tensorflow_nor_tfx():
    code = "import sys; from tfx_pipeline.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code, "settings", "--profile", "small"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert "profile small" in process.stdout
    assert not {"tensorflow", "keras", "tfx", "apache_beam"} & set(process.stdout.splitlines()[-1].split())
