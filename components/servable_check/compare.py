"""Compares what a SavedModel answered with what it should have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model import contract

_SCORING = (
    contract.SIGNATURE_DEFAULT,
    contract.SIGNATURE_RANK,
    f"{contract.SIGNATURE_ENCODE} and {contract.SIGNATURE_SCORE}",
)


def compare_answers(
    outputs: Mapping[str, npt.NDArray[Any]],
    golden: Sequence[npt.NDArray[Any]],
    positives: npt.NDArray[Any],
    tolerance: float,
) -> tuple[list[str], dict[str, float]]:
    """Reasons against a model, and the largest distance of each signature's scores from the golden ones.

    Args:
        outputs: what was answered to R requests, under `<signature>/<output>`; what is missing is not judged.
        golden: scores of the candidates of each request, `[C]` each.
        positives: column of the clicked candidate, `[R]`.
        tolerance: in units of the larger of 1 and the golden score.
    """
    if not all(np.isfinite(row).all() for row in golden):
        return ["the model's weights give scores that are not finite"], {}
    reasons: list[str] = []
    distances: dict[str, float] = {}
    for signature in _SCORING:
        scores = outputs.get(f"{signature}/scores")
        if scores is None:
            continue
        found, distances[signature] = _of_scores(scores, golden, tolerance)
        ranks = outputs.get(f"{signature}/ranks")
        if not found and ranks is not None:
            found = _of_ranks(ranks, scores, golden)
        reasons += [f"{signature} {what}" for what in found]
    if not outputs.get(f"{_SCORING[2]}/states_are_finite", np.array(True)):
        reasons.append(f"{contract.SIGNATURE_ENCODE} gives states that are not finite")
    positive_ranks = outputs.get(f"{contract.SIGNATURE_RANK_EVAL}/rank")
    if positive_ranks is not None:
        reasons += [
            f"{contract.SIGNATURE_RANK_EVAL} {what}"
            for what in _of_positives(positive_ranks, golden, positives, tolerance)
        ]
    return [
        *reasons,
        *_of_recommendations(outputs, tolerance),
        *_of_explanations(outputs, golden, positives, tolerance),
    ], distances


def _of_recommendations(outputs: Mapping[str, npt.NDArray[Any]], tolerance: float) -> list[str]:
    asked = f"{contract.SIGNATURE_RECOMMEND} and {contract.SIGNATURE_RANK}"
    if f"{asked}/scores" not in outputs:
        return []
    found = outputs[f"{asked}/scores"]
    reasons = []
    if (found == np.finfo(np.float32).min).all():
        reasons.append(f"{contract.SIGNATURE_RECOMMEND} finds no item for any request")
    if (apart := _distance(found, outputs[f"{asked}/again"])) > tolerance:
        reasons.append(
            f"{contract.SIGNATURE_RECOMMEND} gives its items other scores than rank does: up to {apart:.3g} apart"
        )
    if clicked := int(outputs[f"{asked}/clicked"].sum()):
        reasons.append(
            f"{contract.SIGNATURE_RECOMMEND} gives {clicked} of {len(found)} requests what was clicked before"
        )
    return reasons


def _of_explanations(
    outputs: Mapping[str, npt.NDArray[Any]],
    golden: Sequence[npt.NDArray[Any]],
    positives: npt.NDArray[Any],
    tolerance: float,
) -> list[str]:
    if f"{contract.SIGNATURE_EXPLAIN}/score" not in outputs:
        return []
    scores = outputs[f"{contract.SIGNATURE_EXPLAIN}/score"]
    right = np.array([row[column] for row, column in zip(golden, positives, strict=True)])
    reasons = []
    if (apart := _distance(scores, right)) > tolerance:
        reasons.append(f"{contract.SIGNATURE_EXPLAIN} explains other scores than rank gives: up to {apart:.3g} apart")
    sums = sum(outputs[f"{contract.SIGNATURE_EXPLAIN}/{side}_weights"].sum(1) for side in ("rec", "search"))
    whole = outputs[f"{contract.SIGNATURE_EXPLAIN}/has_history"].astype(np.float32)
    if odd := int((~(np.abs(sums - whole) <= 1e-3)).sum()):  # a NaN is odd, too
        reasons.append(
            f"{contract.SIGNATURE_EXPLAIN} gives weights that do not sum to 1 to {odd} of {len(golden)} requests"
        )
    return reasons


def _of_scores(
    scores: npt.NDArray[Any], golden: Sequence[npt.NDArray[Any]], tolerance: float
) -> tuple[list[str], float]:
    width = max(map(len, golden))
    if scores.shape != (len(golden), width):
        return [f"gives scores of shape {list(scores.shape)} instead of {[len(golden), width]}"], float("inf")
    not_finite = sum(not np.isfinite(row[: len(right)]).all() for row, right in zip(scores, golden, strict=True))
    if not_finite:
        return [f"gives scores that are not finite to {not_finite} of {len(golden)} requests"], float("inf")
    farthest = np.array([_distance(row[: len(right)], right) for row, right in zip(scores, golden, strict=True)])
    wrong = int((farthest > tolerance).sum())
    reason = (
        f"gives wrong scores to {wrong} of {len(golden)} requests: up to {farthest.max():.3g} from those "
        f"computed apart, {tolerance:g} allowed"
    )
    return [reason] if wrong else [], float(farthest.max())


def _distance(scores: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """The largest one, in units of the larger of 1 and the right score; infinite where a score is no number."""
    if not (np.isfinite(scores).all() and np.isfinite(right).all()):
        return float("inf")
    return float(np.max(np.abs(scores.astype(np.float64) - right) / np.maximum(1, np.abs(right)), initial=0))


def _of_ranks(ranks: npt.NDArray[Any], scores: npt.NDArray[Any], golden: Sequence[npt.NDArray[Any]]) -> list[str]:
    """Each rank should be the number of candidates that score as high or higher, the candidate itself included."""
    if ranks.shape != scores.shape:
        return [f"gives ranks of shape {list(ranks.shape)} and scores of shape {list(scores.shape)}"]
    wrong = 0
    for row, scored, right in zip(ranks, scores, golden, strict=True):
        real = scored[: len(right)]
        wrong += int((row[: len(right)] != (real[None] >= real[:, None]).sum(1)).any())
    return [f"gives ranks that do not fit its scores to {wrong} of {len(golden)} requests"] if wrong else []


def _of_positives(
    ranks: npt.NDArray[Any], golden: Sequence[npt.NDArray[Any]], positives: npt.NDArray[Any], tolerance: float
) -> list[str]:
    """A rank may be any that scores within the tolerance can give; ties count against the positive."""
    if ranks.shape != (len(golden), 1):
        return [f"gives ranks of shape {list(ranks.shape)} instead of {[len(golden), 1]}"]
    wrong = 0
    for rank, right, column in zip(ranks[:, 0], golden, positives, strict=True):
        within = tolerance * np.maximum(1, np.abs(right))
        others, margin = (np.delete(values, column) for values in (right - right[column], within + within[column]))
        wrong += not 1 + (others > margin).sum() <= rank <= 1 + (others >= -margin).sum()
    return [f"gives wrong ranks to {wrong} of {len(golden)} requests"] if wrong else []
