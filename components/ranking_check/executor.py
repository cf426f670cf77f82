"""What RankingCheck does."""

import dataclasses
import os
import time
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from components.common.executor import single_artifacts
from components.common.split_files import split_files
from components.common.verdict import write_verdict
from components.evaluation.intervals import estimate_metrics
from components.evaluation.names import BASELINE, CANDIDATE, POPULARITY
from components.evaluation.popularity import popularity_ranks
from components.evaluation.ranks import rank_requests
from components.evaluation.request_ranks import RANKS_FILE, RequestRanks
from components.evaluation.slices import slice_masks
from components.evaluation.thresholds import threshold_verdict
from components.ranking_check.figures import RESAMPLES, SEED, catalogue_figures, evaluation_figures
from components.ranking_check.settings import RankingCheckSettings
from components.servable.saving import load
from model.data.timelines import read_timelines


class Executor(base_executor.BaseExecutor):
    """Ranks the test split by the new model, the last pushed one and popularity, and judges the new one.

    input_dict:
        model: the candidate, with its SavedModel.
        baseline_model: the last pushed one; none before the first push.
        examples: raw; its test split is ranked.
        transformed_examples: the train split says what is popular.
        transform_graph: gives the ids of the requests.
    output_dict:
        verdict: a `GateVerdict` whose detail holds the figures.
        ranks: `ranks.parquet`, every request's rank by every model.
    exec_properties:
        settings: JSON of `RankingCheckSettings`.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        artifacts = single_artifacts(input_dict, output_dict)
        settings = RankingCheckSettings.from_json(exec_properties["settings"])
        models = {
            role: path_utils.serving_model_path(artifacts[key].uri)
            for role, key in ((CANDIDATE, "model"), (BASELINE, "baseline_model"))
            if key in artifacts
        }
        started = time.perf_counter()
        ranked = rank_requests(models, artifacts["transform_graph"].uri, split_files(artifacts["examples"], "test"))
        seconds = time.perf_counter() - started
        timelines = read_timelines(split_files(artifacts["transformed_examples"], "train"))
        masks = slice_masks(ranked.requests, timelines)
        ranks = {**ranked.ranks, POPULARITY: popularity_ranks(ranked.requests, timelines)}
        RequestRanks(ranked.fingerprints, ranks, masks).write(os.path.join(artifacts["ranks"].uri, RANKS_FILE))
        comparison = estimate_metrics(ranks, masks, settings.metrics, resamples=RESAMPLES, seed=SEED)
        figures = evaluation_figures(comparison, len(ranked.fingerprints), settings, seconds)
        figures["non_finite"] = ranked.non_finite[CANDIDATE]
        figures["full_catalogue"] = None
        if settings.full_catalogue_requests:
            figures["full_catalogue"] = catalogue_figures(load(models[CANDIDATE]), ranked, timelines, settings)
        verdict = threshold_verdict(comparison, settings.thresholds, settings.min_slice_requests)
        write_verdict(
            artifacts["verdict"],
            dataclasses.replace(verdict, reasons=(*_not_numbers(figures), *verdict.reasons), detail=figures),
        )


def _not_numbers(figures: dict[str, Any]) -> list[str]:
    count = figures["non_finite"]
    return [f"{count:,} of {figures['requests']:,} requests have a score that is not a finite number"] if count else []
