"""Another kind of model goes the whole road, by the same pipeline, components and commands."""

import dataclasses
import json

import pytest

from tests.support.workspace import ROOT


@pytest.mark.long
def test_sasrec_is_trained_judged_pushed_and_served(workspace):
    own = dataclasses.replace(workspace, name="sasrec")
    settings = {
        "LCR_SER_MODEL__KIND": "sasrec",
        "LCR_SER_MODEL__REASONING_STEPS": None,  # which SASRec does not have
        "LCR_SER_SUPERVISED__MAX_EPOCHS": "2",
    }
    result = own.command("run", "create", "--pipeline_path", "tfx_pipeline/", cwd=ROOT, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    [version] = own.versions
    description = json.loads((version / "assets.extra" / "ranker.json").read_text())
    assert description["model"]["kind"] == "sasrec"
    figures = json.loads((own.run_dir / "run.json").read_text())
    assert figures["states"] is None
    assert [row.split("|")[1].strip() for row in (own.run_dir / "run.md").read_text().splitlines() if "SASRec |" in row]
    scored = own.command("score", **settings)
    assert scored.returncode == 0, scored.stderr
    assert f"version {version.name}" in scored.stdout
