"""Renders the run page."""

from pathlib import Path
from typing import Any

import jinja2

from components.example_gen.log_report import format_counts

METRICS = ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR")
"""What the settings measure unless told otherwise."""
TEMPLATE = Path(__file__).with_name("run.md.j2")


def render(figures: dict[str, Any]) -> str:
    """Markdown page of a run.

    Args:
        figures: what `run.json` holds.
    """
    # The page is Markdown, not HTML: escaping would only garble it.
    environment = jinja2.Environment(  # noqa: S701
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        metric_names=metric_names(figures["metrics"]), why_not_pushed=why_not_pushed(figures),
        log_text=format_counts(figures["log"]), **figures)


def metric_names(metrics: dict[str, dict[str, float]]) -> list[str]:
    """Names of the candidate's metrics in the order of a table: HR, NDCG, MRR, each by k."""
    def place(name: str) -> tuple[int, int]:
        kind, _, k = name.partition("@")
        return ("HR", "NDCG", "MRR").index(kind), int(k or 0)

    return sorted(metrics["candidate"], key=place)


def why_not_pushed(figures: dict[str, Any]) -> list[str]:
    """The reasons for which nothing was pushed, a line each and with the component first; none after a push."""
    reasons = [f"{figures['data_check']['gate']}: {reason}" for reason in figures["data_check"]["reasons"]]
    if not figures["blessed"]:
        reasons.append("Evaluator: NDCG@5 is below the threshold, or too far below the last pushed model's")
    if figures.get("push_reason") and not reasons:  # otherwise it repeats what the gates said
        reasons.append(f"Pusher: {figures['push_reason']}")
    return reasons
