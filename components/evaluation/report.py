"""What a run page says about the test split: metrics with intervals, by slice, beside the last pushed model's."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from components.evaluation.intervals import LEVEL, compare
from components.evaluation.ranks import raw_requests, saved_model_ranks
from components.evaluation.slices import slice_masks
from model.training.timelines import read_timelines

RESAMPLES = 1000
SEED = 2025


def evaluation_figures(
    models: dict[str, str],
    test_files: Sequence[str],
    train_files: Sequence[str],
    transform_graph_dir: str,
    metrics: Sequence[str],
) -> dict[str, Any]:
    """Rank the test split with each model and estimate every metric in every slice.

    Args:
        models: SavedModel directory of the `candidate`, and of the `baseline` where there is one.
        test_files: of the raw test split.
        train_files: of the transformed train split, whose clicks say what is popular.
        transform_graph_dir: artifact of Transform.
        metrics: `HR@k`, `NDCG@k` or `MRR`.

    Returns:
        `level`, `resamples`, `models` and `difference`, the last two as `components.evaluation.intervals.Comparison`.
    """
    requests = raw_requests(transform_graph_dir, test_files)
    masks = slice_masks(requests, read_timelines(train_files))
    ranks = {role: saved_model_ranks(directory, test_files) for role, directory in models.items()}
    found = compare(ranks, masks, metrics, resamples=RESAMPLES, seed=SEED)
    return {"level": LEVEL, "resamples": RESAMPLES, **dataclasses.asdict(found)}
