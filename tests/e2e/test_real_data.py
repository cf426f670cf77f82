"""The whole pipeline on the converted real sets, where they lie beside the repository.

The expected counts are those that the description of the sets gives, counted from the files by other means.
"""

import json

import pytest

from tests.support.workspace import COMPONENTS, ROOT, Workspace, lines_by_component

DATA = ROOT.parent / "shared" / "data"
TRIVAGO = {"LCR_SER_LOGS__SPLIT": "time", "LCR_SER_SUPERVISED__MAX_EPOCHS": "1", "LCR_SER_GRPO__MAX_STEPS": "1"}
BEAUTY = {
    "LCR_SER_SUPERVISED__MAX_EPOCHS": "1",
    "LCR_SER_SUPERVISED__BATCH_SIZE": "1024",
    "LCR_SER_SUPERVISED__LEARNING_RATE": "0.005",
    "LCR_SER_SUPERVISED__MAX_EVAL_REQUESTS": "2000",
    "LCR_SER_GRPO__MAX_STEPS": "1",
    "LCR_SER_GRPO__MAX_EVAL_REQUESTS": "500",
}

GATES = ("DataCheck", "Evaluator", "RankingCheck", "ServableCheck")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real sets are not beside the repository (../shared/data)"),
]


def _run(folder, name, **overrides):
    workspace = Workspace(folder, DATA / name, name)
    result = workspace.command(
        "run", "create", "--pipeline_path", str(ROOT / "tfx_pipeline"), LCR_SER_EVALUATION__MIN_NDCG_5="0", **overrides
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(lines_by_component(result.stdout)) == sorted(COMPONENTS)
    [version] = workspace.versions
    assert (version / "saved_model.pb").exists()
    return json.loads((workspace.run_dir / "run.json").read_text())


def test_trivago_split_by_time(tmp_path):
    figures = _run(tmp_path, "trivago_sr", **TRIVAGO)
    log, splits = figures["log"]["log"], figures["log"]["splits"]
    assert (log["users"], log["users_with_clicks"], log["users_with_searches"]) == (6593, 4255, 2725)
    # 79 of the 9,149 rows have the user, the item and the second of another one.
    assert (log["clicks"], figures["log"]["rules"]["repeated_clicks"], log["searches"]) == (9070, 79, 3786)
    assert figures["log"]["warnings"] == []
    assert (log["items"], log["items_found"], log["items_in_both"]) == (7529, 6873, 828)
    assert min(splits["eval_requests"], splits["test_requests"]) > 100
    assert {gate["gate"]: gate["reasons"] for gate in figures["gates"]} == dict.fromkeys(GATES, [])


def test_amazon_beauty_leave_one_out(tmp_path):
    figures = _run(tmp_path, "amazon_beauty_sr", **BEAUTY)
    log, splits = figures["log"]["log"], figures["log"]["splits"]
    assert (log["users"], log["clicks"], log["searches"], log["items"]) == (22363, 198502, 198502, 12101)
    assert figures["log"]["warnings"] == []
    # Every user has five clicks or more: one to test, one to evaluate, and of the rest all but the first to train on.
    assert splits["eval_requests"] == splits["test_requests"] == 22363
    assert splits["train_targets"] == 198502 - 3 * 22363
    assert {gate["gate"]: gate["reasons"] for gate in figures["gates"]} == dict.fromkeys(GATES, [])
    # One epoch is too short for a claim of quality, but not for chance: 0.0295.
    assert figures["metrics"]["candidate"]["NDCG@5"] > 0.04
