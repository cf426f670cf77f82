"""The sentences of a run page follow from its figures, whichever way they point."""

import pytest

from components.evaluation.names import role_titles
from components.report.page import findings
from components.report.page.slice_rows import slice_rows
from tests.support.run_figures import run_figures

STATE = {"closer": [0.5, 0.6, 0.75]}


@pytest.mark.parametrize(
    "distance, verdict",
    [
        ([0.9, 0.8, 0.7], "falls with every step, as the paper reports (0.900 → 0.800 → 0.700)"),
        ([0.9, 0.6, 0.7], "falls from the first state to the last, but not with every step (0.900 → 0.600 → 0.700)"),
        ([0.7, 0.8, 0.9], "does not fall, other than the paper reports: it rises (0.700 → 0.800 → 0.900)"),
        (
            [0.7, 0.6, 0.70004],
            "does not fall, other than the paper reports: it ends where it began (0.700 → 0.600 → 0.700)",
        ),
    ],
)
def test_a_fall_is_called_a_fall_only_where_there_is_one(distance, verdict):
    found = findings.distance_finding({**STATE, "distance": distance})
    assert found.startswith(f"The mean distance {verdict}.")
    assert found.endswith("closer than 75.0 % of the other candidates (50 % is chance; 50.0 % before the first).")


@pytest.mark.parametrize(
    "crossed, plain, way",
    [(0.6, 0.7, "closer to"), (0.7, 0.6, "farther from"), (0.6, 0.60001, "neither closer to nor farther from")],
)
def test_cross_attention_helps_hinders_or_does_nothing(crossed, plain, way):
    side = {"crossed": {"distance": [0.9, crossed]}, "plain": {"distance": [0.9, plain]}}
    assert f"brings the states {way} the target" in findings.cross_finding(side)


def test_the_gap_in_a_map_is_to_ones_own_target():
    targets = [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]
    far, near = [[x, 5.0] for x, _ in targets], [[x, 2.0] for x, _ in targets]
    assert "end closer to their own targets: the median gap goes from 5.0 at step 0 to 2.0 at step 2" in (
        findings.tsne_finding([far, targets[::-1], near], targets)
    )
    assert "end no closer to" in findings.tsne_finding([near, far], targets)


@pytest.mark.parametrize(
    "low, high, words", [(0.001, 0.02, "is higher"), (-0.02, -0.001, "is lower"), (-0.01, 0.01, "cannot be told apart")]
)
def test_a_difference_counts_only_where_its_interval_leaves_out_zero(low, high, words):
    evaluation = run_figures()["evaluation"]
    evaluation["differences"]["baseline"]["all"]["NDCG@5"] |= {"value": (low + high) / 2, "low": low, "high": high}
    assert (
        f"Against the last pushed model, NDCG@5 {words}: "
        in findings.ranking_findings(evaluation, role_titles("LCR-SER"))[1]
    )


def test_slices_that_lost_are_named():
    evaluation = run_figures()["evaluation"]
    evaluation["models"]["candidate"]["target: rare"]["NDCG@5"]["value"] = 0.0123
    evaluation["models"]["candidate"]["searches: none"]["NDCG@5"]["value"] = 0.8765
    evaluation["differences"]["baseline"]["target: rare"]["NDCG@5"] |= {"low": -0.3, "high": -0.1}
    found = findings.slices_findings(slice_rows(evaluation), "last pushed model")
    assert found[0] == (
        "NDCG@5 runs from 0.0123 (target: rare; 1,100 requests) to 0.8765 (searches: none; 150 requests)."
    )
    assert found[1] == "Slices in which it is clearly below the last pushed model: target: rare."


def test_the_best_evaluation_need_not_be_the_last():
    rows = [{"step": 0.0, "m": 0.1}, {"step": 5.0, "loss": 1.0}, {"step": 10.0, "m": 0.3}, {"step": 20.0, "m": 0.2}]
    assert findings.training_finding(rows, "m") == (
        "3 evaluations on the eval split: NDCG@5 went from 0.1000 at step 0 to 0.2000 at step 20, and was best at "
        "step 10 (0.3000)."
    )
    assert findings.training_finding(rows[:1], "m") == "Evaluated once on the eval split, at step 0: NDCG@5 0.1000."
    assert findings.training_finding([], "m") == "It was never evaluated in this stage."
