"""What judging a model costs beyond running it: RankingCheck and the TFX Evaluator on 25,000 requests of 1 + 99.

    python -m benchmarks.judgement    # the log and the trained model of the last run, its test split many times over

Both have a fixed cost (loading, tracing, Beam): measured with the split once and many times, the difference counts.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.components.evaluator.executor import Executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from benchmarks.last_run import newest_model, quiet, read_experiment
from benchmarks.machine import describe
from benchmarks.result import report
from components.evaluation.intervals import estimate_metrics
from components.evaluation.names import metric_names
from components.evaluation.popularity import popularity_ranks
from components.evaluation.ranks import BATCH, rank_requests
from components.evaluation.raw_requests import requests_of_parts, transform_function
from components.evaluation.slices import slice_masks
from components.evaluator.eval_config import eval_config
from components.servable.saving import restore
from model.contract import SIGNATURE_RANK_EVAL
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from tfx_pipeline.beam.arguments import LOCAL

REQUESTS = 25_000
TARGET = 1.3


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; 0 leaves it to choose")
    args = parser.parse_args()
    quiet(args.threads)
    log = read_experiment()
    artifacts, model_dir = log.settings.run_dir / "artifacts", newest_model(log)
    graph = str(_newest(artifacts / "Transform" / "transform_graph"))
    files = sorted(map(str, (_newest(artifacts / "LogExampleGen" / "examples") / "Split-test").iterdir()))
    copies = -(-REQUESTS // len(log.test_requests))
    many = files * copies
    count = len(log.test_requests) * (copies - 1)
    transform, batches = transform_function(graph), list(_batches(many))
    requests = requests_of_parts([transform(batch) for batch in batches])
    bare = RankingEvaluator(restore(LcrSer(log.shape), str(model_dir)), requests, BATCH)
    served = tf.saved_model.load(str(model_dir)).signatures[SIGNATURE_RANK_EVAL]

    def judge(of: list[str]) -> None:
        ranked = rank_requests({"candidate": str(model_dir)}, graph, of)
        ranks = {**ranked.ranks, "popularity": popularity_ranks(ranked.requests, log.timelines)}
        estimate_metrics(ranks, slice_masks(ranked.requests, log.timelines), metric_names(log.settings.evaluation.ks))

    for warm_up in (bare.ranks, lambda: served(examples=batches[0]), lambda: served(examples=batches[-1])):
        warm_up()
    share = count / (count + len(log.test_requests))
    seconds = {
        "bare model": share * _seconds(bare.ranks),
        "bare model, from Examples": share * _seconds(lambda: [served(examples=one)["rank"] for one in batches]),
        "RankingCheck": _seconds(lambda: judge(many)) - _seconds(lambda: judge(files)),
        "TFX Evaluator": _seconds(lambda: _evaluate(model_dir, many)) - _seconds(lambda: _evaluate(model_dir, files)),
    }
    rows = [("", "seconds", "requests a second", "times the bare model", "times it from Examples")]
    rows += [
        (
            name,
            f"{taken:.2f}",
            f"{count / taken:,.0f}",
            f"{taken / seconds['bare model']:.2f}",
            f"{taken / seconds['bare model, from Examples']:.2f}",
        )
        for name, taken in seconds.items()
    ]
    report(
        "judgement",
        seconds["RankingCheck"] / seconds["bare model"],
        "times the bare model",
        f"{TARGET}",
        {"machine": describe(args.threads), "requests": count, "seconds": seconds},
        rows,
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _batches(files: list[str]) -> Iterator[tf.Tensor]:
    return iter(tf.data.TFRecordDataset(files, compression_type="GZIP").batch(BATCH))


def _newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: int(path.name))


def _evaluate(model_dir: Path, files: list[str]) -> None:
    """Run the Evaluator's own executor, as the pipeline does."""

    def artifact(kind: type, path: str) -> list[Any]:
        made = kind()
        made.uri = path
        return [made]

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(None):
        examples = artifact(standard_artifacts.Examples, f"{folder}/examples")
        examples[0].split_names = artifact_utils.encode_split_names(["test"])
        examples[0].set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        split = artifact_utils.get_split_uri(examples, "test")
        os.makedirs(split)
        for number, path in enumerate(files):
            os.symlink(path, f"{split}/data-{number:05d}.gz")
        context = Executor.Context(tmp_dir=folder, make_beam_pipeline_fn=lambda: beam.Pipeline(argv=LOCAL))
        Executor(context).Do(
            {"model": artifact(standard_artifacts.Model, str(model_dir.parent)), "examples": examples},
            {
                "evaluation": artifact(standard_artifacts.ModelEvaluation, f"{folder}/evaluation"),
                "blessing": artifact(standard_artifacts.ModelBlessing, f"{folder}/blessing"),
            },
            {
                "eval_config": proto_utils.proto_to_json(eval_config(0.0, 1.0)),
                "example_splits": '["test"]',
                "fairness_indicator_thresholds": "null",
                "module_path": "components.evaluator.rank_extractors",
            },
        )


if __name__ == "__main__":
    main()
