"""What came out of a run, in sentences that are put together from its figures."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from components.evaluation.names import CANDIDATE, POPULARITY
from components.report.page.numbers import count, fixed, interval, p_value, percent, signed, signed_interval
from components.report.page.slice_rows import MAIN, SECOND, SliceRow

_DIGITS = 3
"""Of distances: what a reader sees is what is called a fall or a rise."""


def ranking_findings(evaluation: dict[str, Any], titles: dict[str, str]) -> list[str]:
    """How good the model is, and against each of the others."""
    of_all = evaluation["models"][CANDIDATE]["all"]
    found = [
        f"{percent(of_all[SECOND]['value'])} of the targets are among the first five ({SECOND}), and {MAIN} is "
        f"{fixed(of_all[MAIN]['value'])} ({interval(of_all[MAIN])})."
    ]
    for role, slices in evaluation["differences"].items():
        difference = slices["all"][MAIN]
        size = f"{signed(difference['value'])} ({signed_interval(difference)}, {p_value(difference['p_value'])})"
        found.append(f"Against {_the(titles[role])}, {MAIN} {_direction(difference)}: {size}.")
    return found


def slices_findings(rows: Sequence[SliceRow], other: str) -> list[str]:
    """Where the model is weakest and strongest, where it lost, and which slices are empty."""
    parts = [row for row in rows if row.group != row.name]
    filled = [row for row in parts if row.requests]
    found = []
    if filled:
        worst, best = (pick(filled, key=lambda row: row.main["value"]) for pick in (min, max))
        found.append(f"{MAIN} runs from {_slice(worst)} to {_slice(best)}.")
    lost = [row.title for row in filled if row.difference["high"] < 0]
    found.append(f"Slices in which it is clearly below {_the(other)}: {', '.join(lost) or 'none'}.")
    empty = [row.title for row in parts if not row.requests]
    if empty:
        found.append(f"{len(empty)} of {len(parts)} slices hold no request: {', '.join(empty)}.")
    return found


def training_finding(rows: Sequence[dict[str, float]], column: str) -> str:
    """From where to where the evaluation's metric went, and where it was best."""
    points = [(row["step"], row[column]) for row in rows if column in row]
    if not points:
        return "It was never evaluated in this stage."
    if len(points) == 1:
        return f"Evaluated once on the eval split, at step {points[0][0]:.0f}: {MAIN} {fixed(points[0][1])}."
    best_step, best = max(points, key=lambda point: point[1])
    (first_step, first), (last_step, last) = points[0], points[-1]
    return (
        f"{len(points)} evaluations on the eval split: {MAIN} went from {fixed(first)} at step {first_step:.0f} "
        f"to {fixed(last)} at step {last_step:.0f}, and was best at step {best_step:.0f} ({fixed(best)})."
    )


def distance_finding(crossed: dict[str, Any]) -> str:
    """Whether the states come closer to the target with the steps."""
    distance = [round(value, _DIGITS) for value in crossed["distance"]]
    path = " → ".join(fixed(value, _DIGITS) for value in distance)
    changes = [after - before for before, after in zip(distance, distance[1:], strict=False)]
    if all(change < 0 for change in changes):
        verdict = "falls with every step, as the paper reports"
    elif distance[-1] < distance[0]:
        verdict = "falls from the first state to the last, but not with every step"
    else:
        end = "rises" if distance[-1] > distance[0] else "ends where it began"
        verdict = f"does not fall, other than the paper reports: it {end}"
    before, after = (percent(crossed["closer"][at]) for at in (0, -1))
    return (
        f"The mean distance {verdict} ({path}). After the last step the target is closer than {after} of the other "
        f"candidates (50 % is chance; {before} before the first)."
    )


def cross_finding(side: dict[str, Any]) -> str:
    """Whether cross attention brings the last state closer to the target."""
    crossed, plain = (round(side[branch]["distance"][-1], _DIGITS) for branch in ("crossed", "plain"))
    way = {-1: "closer to", 0: "neither closer to nor farther from", 1: "farther from"}[
        (crossed > plain) - (crossed < plain)
    ]
    return (
        f"Cross attention brings the states {way} the target: mean distance {fixed(crossed, _DIGITS)} with it, "
        f"{fixed(plain, _DIGITS)} without."
    )


def tsne_finding(steps: Sequence[Sequence[Sequence[float]]], targets: Sequence[Sequence[float]]) -> str:
    """How far states lie from their own targets in the map, before the first and after the last step."""
    first, last = (statistics.median(map(math.dist, step, targets)) for step in (steps[0], steps[-1]))
    way = "closer to" if last < first else "no closer to"
    return (
        f"In the map the states end {way} their own targets: the median gap goes from {first:.1f} at step 0 to "
        f"{last:.1f} at step {len(steps) - 1}."
    )


def _direction(difference: dict[str, Any]) -> str:
    if difference["low"] > 0:
        return "is higher"
    return "is lower" if difference["high"] < 0 else "cannot be told apart"


def _slice(row: SliceRow) -> str:
    return f"{fixed(row.main['value'])} ({row.title}; {count(row.requests)} requests)"


def _the(title: str) -> str:
    return title if title == POPULARITY else f"the {title}"
