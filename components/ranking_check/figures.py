"""The figures of an evaluation, as a run page shows them."""

import dataclasses
from typing import Any

from components.evaluation.intervals import LEVEL, Comparison, estimate_metrics
from components.evaluation.names import ALL, CANDIDATE
from components.evaluation.ranks import Ranked
from components.ranking_check.settings import RankingCheckSettings
from model.contract import FIRST_KNOWN_ID
from model.data.clicked import Avoid
from model.data.columns import Array
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.evaluation.full_catalogue import FullCatalogue
from model.evaluation.retrieval import first_stage_recall
from model.ranker import Ranker, Retriever

RESAMPLES = 1000
SEED = 2025


def evaluation_figures(
    comparison: Comparison, requests: int, settings: RankingCheckSettings, seconds: float
) -> dict[str, Any]:
    """Put what was measured into plain values.

    Args:
        comparison: of the candidate and of whatever it is put beside.
        requests: of the split.
        settings: what was measured.
        seconds: that ranking the split took, by all models.
    """
    return {
        "level": LEVEL,
        "resamples": RESAMPLES,
        "requests": requests,
        "metrics": list(settings.metrics),
        "seconds": seconds,
        **dataclasses.asdict(comparison),
    }


def catalogue_figures(
    model: Ranker, ranked: Ranked, timelines: Timelines, settings: RankingCheckSettings
) -> dict[str, Any]:
    """Rank some positives among all known items, beside what sampled candidates say of the same requests.

    Args:
        model: the candidate.
        ranked: with the candidate's ranks among the stored candidates.
        timelines: the training log, whose known items are the catalogue.
        settings: how many requests, at least 1.

    Returns:
        `items`, `avoid`, `requests`, `known_targets`, `first_stage_recall` by candidates, and estimates by metric for
        `sampled` and `full`.
    """
    avoid: Avoid = "past"
    full = FullCatalogue(model, ranked.requests, timelines, avoid=avoid, max_requests=settings.full_catalogue_requests)
    ranks = {"sampled": ranked.ranks[CANDIDATE][full.rows], "full": full.ranks()}
    everything = {ALL: full.rows >= 0}
    found = estimate_metrics(ranks, everything, settings.metrics, resamples=RESAMPLES, seed=SEED)
    estimates = {
        name: {metric: dataclasses.asdict(one) for metric, one in by_slice[ALL].items()}
        for name, by_slice in found.models.items()
    }
    known = int((full.positives[full.rows] >= FIRST_KNOWN_ID).sum())
    return {
        "items": len(full.catalogue),
        "avoid": avoid,
        "requests": len(full.rows),
        "known_targets": known,
        "first_stage_recall": _first_stage_recall(model, ranked.requests, full.rows),
        **estimates,
    }


def _first_stage_recall(model: Ranker, requests: Requests, rows: Array) -> dict[int, float] | None:
    """Of the model's best ten of the catalogue, by how many candidates `recommend` would rank; None if it cannot."""
    if not isinstance(model, Retriever) or model.item_vectors is None:
        return None
    return first_stage_recall(model, requests, rows)
