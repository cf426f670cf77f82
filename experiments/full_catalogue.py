"""How a run's model ranks the test split among all known items, beside the number that its sampled candidates give.

python -m experiments.full_catalogue --threads 1    # the log and the trained model of the last run
"""

import argparse
import time
from typing import Any

import numpy.typing as npt

from benchmarks.last_run import newest_model, quiet, read_experiment
from benchmarks.machine import describe
from benchmarks.result import report
from components.evaluation.names import metric_names
from components.servable.saving import restore
from model.config import MAIN_METRIC
from model.contract import FIRST_KNOWN_ID
from model.evaluation.evaluator import RankingEvaluator, ranking_metrics
from model.evaluation.full_catalogue import FullCatalogue
from model.lcr_ser import LcrSer


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow; 0 leaves it to choose")
    parser.add_argument(
        "--avoid",
        choices=("past", "whole_log", "none"),
        default="past",
        help="which clicks of the user are no negatives",
    )
    parser.add_argument("--batch", type=int, default=256, help="requests a step")
    parser.add_argument("--block", type=int, default=1024, help="items a step")
    args = parser.parse_args()
    quiet(args.threads)
    log = read_experiment()
    model = restore(LcrSer(log.shape), str(newest_model(log)))
    requests = log.test_requests
    full = FullCatalogue(model, requests, log.timelines, avoid=args.avoid, batch_size=args.batch, block_size=args.block)
    known = full.positives >= FIRST_KNOWN_ID
    names = metric_names(log.settings.evaluation.ks)
    found: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for name, ranks_of in (
        ("sampled", RankingEvaluator(model, requests, log.supervised.eval_batch_size)),
        ("full", full),
    ):
        started = time.monotonic()
        ranks = ranks_of.ranks()
        seconds[name] = time.monotonic() - started
        found |= {name: ranking_metrics(ranks, names), f"{name}, known targets": _means(ranks[known], names)}
    sampled, items = requests.candidates.shape[1] - 1, len(full.catalogue)
    titles = {"sampled": f"against {sampled} sampled items", "full": f"among {items:,} known items"}
    rows = [("", *names)]
    rows += [
        (
            title.replace("sampled", titles["sampled"], 1)
            if title.startswith("sampled")
            else title.replace("full", titles["full"], 1),
            *(f"{values[name]:.4f}" for name in names),
        )
        for title, values in found.items()
    ]
    detail = {
        "machine": describe(args.threads),
        "run": str(log.settings.name),
        "requests": len(requests),
        "known_targets": int(known.sum()),
        "items": items,
        "avoid": args.avoid,
        "batch": args.batch,
        "block": args.block,
        "seconds_with_tracing": seconds,
        "metrics": found,
    }
    report("full_catalogue", found["full"][MAIN_METRIC], f"{MAIN_METRIC} among all known items", "none", detail, rows)


def _means(ranks: npt.NDArray[Any], names: list[str]) -> dict[str, float]:
    return ranking_metrics(ranks, names) if len(ranks) else dict.fromkeys(names, float("nan"))


if __name__ == "__main__":
    main()
