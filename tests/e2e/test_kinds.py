"""Another kind of model goes the whole road, by the same pipeline, components and commands."""

import dataclasses
import json

import pytest

from model.registry import title
from tests.support.workspace import ROOT


@pytest.mark.long
def test_unisar_is_trained_judged_pushed_and_served(workspace):
    """It reads times, and learns from searches; a reinforcement stage of another kind is tested on small logs."""
    kind = "unisar"
    own = dataclasses.replace(workspace, name=kind)
    settings = {
        "LCR_SER_MODEL__KIND": kind,
        "LCR_SER_MODEL__REASONING_STEPS": None,  # which it does not have
        "LCR_SER_SUPERVISED__MAX_EPOCHS": "1",
        "LCR_SER_EVALUATION__MIN_NDCG_5": "0",  # one epoch is too short for more
    }
    result = own.command("run", "create", "--pipeline_path", "tfx_pipeline/", cwd=ROOT, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    [version] = own.versions
    description = json.loads((version / "assets.extra" / "ranker.json").read_text())
    assert description["model"]["kind"] == kind
    figures = json.loads((own.run_dir / "run.json").read_text())
    assert figures["states"] is None
    table = (own.run_dir / "run.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in table if f"{title(kind)} |" in row]
    scored = own.command("score", **settings)
    assert scored.returncode == 0, scored.stderr
    assert f"version {version.name}" in scored.stdout
