"""Other kinds of models go the whole road: trained, judged, pushed and served by the same pipeline."""

import dataclasses
import json

import pytest

from tests.support.workspace import ROOT, lines_by_component

# Each kind is put beside the one that was pushed before it, which it need not reach here.
ANY_MODEL = {
    "LCR_SER_EVALUATION__MIN_NDCG_5": "0",
    "LCR_SER_EVALUATION__MAX_NDCG_5_DROP": "1",
    "LCR_SER_EVALUATION__THRESHOLDS": "{all: {NDCG@5: {significance: null}}}",
}


@pytest.mark.parametrize("kind", ["popularity", "sasrec"])
def test_a_kind_is_pushed_and_ranks(workspace, kind):
    own = dataclasses.replace(workspace, name="kinds")
    settings = {**ANY_MODEL, "LCR_SER_MODEL__KIND": kind}
    before = own.versions
    result = own.command("run", "create", "--pipeline_path", "tfx_pipeline/", cwd=ROOT, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    [version] = set(own.versions) - set(before)
    description = json.loads((version / "assets.extra" / "ranker.json").read_text())
    assert description["model"]["kind"] == kind
    figures = json.loads((own.run_dir / "run.json").read_text())
    own_ndcg = figures["metrics"]["candidate"]["NDCG@5"]
    if kind == "popularity":
        assert own_ndcg == pytest.approx(figures["metrics"]["popularity"]["NDCG@5"])
    if before:  # what does not depend on the model is not done again
        cached = {name for name, time in lines_by_component(result.stdout).items() if time == "cached"}
        assert {"LogExampleGen", "StatisticsGen", "Transform", "DataCheck"} <= cached
    scored = own.command("score", **settings)
    assert scored.returncode == 0, scored.stderr
    assert f"version {version.name}" in scored.stdout
