"""What both forms of a run page show, put together from its figures."""

from typing import Any

from components.evaluation.names import ALL, CANDIDATE, role_titles
from components.example_gen.log_report import RULES
from components.report.page import findings
from components.report.page.slice_rows import MAIN, SECOND, compared_with, slice_rows
from model.registry import DEFAULT, title

SIDES = {"search": "search side", "rec": "recommendation side"}
STAGES = {"supervised": "Supervised", "grpo": "GRPO"}
EVALUATED = f"eval/{MAIN}"
"""Column of the training logs."""


def page_view(figures: dict[str, Any]) -> dict[str, Any]:
    """Values for the templates, beside the figures themselves."""
    evaluation, other = figures["evaluation"], compared_with(figures["evaluation"])
    rows = slice_rows(evaluation)
    model = figures["settings"]["model"]
    # A run that is older than kinds is of LCR-SER.
    titles = role_titles(title(model.get("kind", DEFAULT)))
    return {
        "reasons": why_not_pushed(figures),
        "model": titles[CANDIDATE],
        "titles": titles,
        "sides": SIDES,
        "stages": STAGES,
        "main": MAIN,
        "second": SECOND,
        "warnings": figures["log"].get("warnings", []),  # the run may be older than its page
        "rules": [(applied, text) for rule, text in RULES.items() if (applied := figures["log"]["rules"].get(rule))],
        "models": [
            (name, evaluation["models"][role][ALL]) for role, name in titles.items() if role in evaluation["models"]
        ],
        "differences": [
            (name, evaluation["differences"][role][ALL])
            for role, name in titles.items()
            if role in evaluation["differences"]
        ],
        "evaluator_gap": _evaluator_gap(figures),
        "candidates": _candidates(figures["log"]["negatives"]),
        "slices": rows,
        "compared_with": titles[other],
        "ranking_findings": findings.ranking_findings(evaluation, titles),
        "slices_findings": findings.slices_findings(rows, titles[other]),
        "training_findings": {
            stage: findings.training_finding(rows, EVALUATED) for stage, rows in figures["training"].items()
        },
        "states_findings": states_findings(figures["states"]),
        "no_states": _no_states(titles[CANDIDATE], model.get("reasoning_steps")),
        "settings_rows": [
            (_dotted(section, field), value)
            for section, fields in figures["settings"].items()
            for field, value in (fields.items() if isinstance(fields, dict) else [("", fields)])
        ],
        "seconds": _seconds(figures["cost"]["seconds"]),
    }


def why_not_pushed(figures: dict[str, Any]) -> list[str]:
    """The reasons for which nothing was pushed, a line each and with the component first; none after a push.

    A model that was pushed before and is unchanged has a reason too: why it was not pushed again.
    """
    reasons = [f"{gate['gate']}: {reason}" for gate in figures["gates"] for reason in gate["reasons"]]
    if figures["push_reason"] and not reasons:  # otherwise it repeats what the gates said
        reasons.append(f"Pusher: {figures['push_reason']}")
    return reasons


def _evaluator_gap(figures: dict[str, Any]) -> float:
    """Largest difference between the TFX Evaluator's metrics of the candidate and the page's own."""
    own = figures["evaluation"]["models"][CANDIDATE][ALL]
    theirs = figures["metrics"][CANDIDATE]
    return max(abs(value - own[name]["value"]) for name, value in theirs.items() if name in own)


def _candidates(negatives: dict[str, Any]) -> str:
    source = negatives["candidates_file"] or f"{negatives['sampling']}, seed {negatives['seed']}"
    return f"1 + {negatives['number']} candidates, {source}"


def states_findings(states: dict[str, Any] | None) -> dict[str, dict[str, str]]:
    """What came out of `reasoning_states`, by picture and side; nothing where there was nothing to look at."""
    if states is None:
        return {}
    points = states["tsne"]["points"]
    return {
        "distance": {side: findings.distance_finding(states["sides"][side]["crossed"]) for side in SIDES},
        "tsne": {side: findings.tsne_finding(points[side], points["target"]) for side in SIDES},
        "cross": {side: findings.cross_finding(states["sides"][side]) for side in SIDES},
    }


def _no_states(model: str, reasoning_steps: int | None) -> str:
    if reasoning_steps is None:
        return f"{model} does not reason, so there are no states to look at."
    if reasoning_steps:
        return "No request of the test split has a target that the vocabulary holds, so there is nothing to measure to."
    return "The model takes no reasoning steps (K = 0), so there are no states to look at."


def _dotted(section: str, field: str) -> str:
    return f"{section}.{field}" if field else section


def _seconds(seconds: dict[str, float]) -> list[tuple[str, float, float]]:
    """Component, its time and its share of the longest, the longest first."""
    rows = sorted(seconds.items(), key=lambda item: -item[1])
    return [(name, value, value / max(rows[0][1], 1e-9)) for name, value in rows]
