"""The whole pipeline on the converted real sets, where they lie beside the repository.

The expected counts are those that the description of the sets gives, counted from the files by other means.
"""

import json

import numpy as np
import pytest

from model.contract import UNKNOWN_ID
from model.data.requests import read_requests
from model.data.timelines import read_timelines
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


def _run(workspace, **overrides):
    result = workspace.command(
        "run", "create", "--pipeline_path", str(ROOT / "tfx_pipeline"), LCR_SER_EVALUATION__MIN_NDCG_5="0", **overrides
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(lines_by_component(result.stdout)) == sorted(COMPONENTS)
    [version] = workspace.versions
    assert (version / "saved_model.pb").exists()
    return json.loads((workspace.run_dir / "run.json").read_text())


def test_trivago_split_by_time(tmp_path):
    figures = _run(Workspace(tmp_path, DATA / "trivago_sr", "trivago_sr"), **TRIVAGO)
    log, splits = figures["log"]["log"], figures["log"]["splits"]
    assert (log["users"], log["users_with_clicks"], log["users_with_searches"]) == (6593, 4255, 2725)
    # 79 of the 9,149 rows have the user, the item and the second of another one.
    assert (log["clicks"], figures["log"]["rules"]["repeated_clicks"], log["searches"]) == (9070, 79, 3786)
    assert figures["log"]["warnings"] == []
    assert (log["items"], log["items_found"], log["items_in_both"]) == (7529, 6873, 828)
    assert min(splits["eval_requests"], splits["test_requests"]) > 100
    assert {gate["gate"]: gate["reasons"] for gate in figures["gates"]} == dict.fromkeys(GATES, [])


def test_amazon_beauty_leave_one_out(tmp_path):
    workspace = Workspace(tmp_path, DATA / "amazon_beauty_sr", "amazon_beauty_sr")
    figures = _run(workspace, **BEAUTY)
    log, splits = figures["log"]["log"], figures["log"]["splits"]
    assert (log["users"], log["clicks"], log["searches"], log["items"]) == (22363, 198502, 198502, 12101)
    assert figures["log"]["warnings"] == []
    # Every user has five clicks or more: one to test, one to evaluate, and of the rest all but the first to train on.
    assert splits["eval_requests"] == splits["test_requests"] == 22363
    assert splits["train_targets"] == 198502 - 3 * 22363
    assert {gate["gate"]: gate["reasons"] for gate in figures["gates"]} == dict.fromkeys(GATES, [])
    # One epoch is too short for a claim of quality, but not for chance: 0.0295.
    assert figures["metrics"]["candidate"]["NDCG@5"] > 0.04
    _no_search_tells_the_answer(workspace)


def _no_search_tells_the_answer(workspace):
    """One second after each click a search clicks the same item: learnt from, that of a test click would tell it."""
    [examples] = (workspace.run_dir / "artifacts" / "Transform" / "transformed_examples").iterdir()
    timelines = read_timelines(sorted(map(str, (examples / "Split-train").glob("*"))))
    targets = timelines.search_targets
    # Those of the clicks before the eval target: all but the last two of each user.
    assert len(targets) == 198502 - 2 * 22363
    searches = np.searchsorted(timelines.item_offsets, targets, side="right") - 1
    rows = np.searchsorted(timelines.search_offsets, searches, side="right") - 1
    learnt = set(zip(timelines.users[rows], timelines.search_items[targets], strict=True))
    for split in ("eval", "test"):
        requests = read_requests(sorted(map(str, (examples / f"Split-{split}").glob("*"))))
        answers = requests.candidates[np.arange(len(requests)), requests.label]
        asked = {
            (user, item) for user, item in zip(requests.users, answers, strict=True) if UNKNOWN_ID not in (user, item)
        }
        assert len(asked) > 20_000
        # Nobody reviewed an item twice, so that an answer that was learnt came from its own search.
        assert not asked & learnt
