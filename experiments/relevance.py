"""Does the model's attention on searches find those that bear on the target? On a simulated log, whose truth is known.

    python -m experiments.relevance --threads 1    # simulates 2,000 users, trains three models, reports
    python -m experiments.relevance --threads 1 --users 6000 --dim 48 --tcl_weight 0.3 --rows_an_item 300 \
        --batch_size 512 --epochs 10 --only "K = 3, TCL"

For each held-out click whose history holds searches that bear on it and others, a model's weights on the searches rank
them; the area under the ROC curve is .5 by chance and 1 where all that bear on it have larger weights than all others.
Beside the mean over all stand those over the clicks on an item that the model ranks first, and on items that were
clicked more and less often in training.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import stats

from benchmarks.last_run import in_scratch, quiet
from benchmarks.machine import describe
from benchmarks.result import report
from experiments.simulated import Simulated, read
from model.config import LcrSerConfig, SupervisedConfig
from model.contract import CANDIDATES
from model.data.windows import RequestWindows
from model.evaluation.evaluator import RankingEvaluator, ranking_metrics
from model.inspection.attention_weights import watch
from model.inspection.leave_one_out import leave_one_out
from model.lcr_ser import LcrSer
from model.training import supervised
from synthetic_logs.simulator import SimulatorSettings, simulate

# Fewer and shorter topics and items that recur, for in a log as flat as KuaiSAR ids have nothing to learn from.
LOG = SimulatorSettings(
    rec_rows=120.0,
    topics=12,
    errand_topics=3,
    subtopics=4,
    rec_rows_an_item=100.0,
    hits=0.2,
    search_rows_an_item=60.0,
    recommended_results=0.5,
)
SHAPE: dict[str, Any] = {
    "dim": 32,
    "num_heads": 2,
    "rec_length": 30,
    "search_length": 30,
    "words_per_search": 6,
    "items_per_search": 5,
}
SUPERVISED = SupervisedConfig(
    batch_size=256, learning_rate=0.004, max_epochs=8, patience=2, tcl_stop_gradient="both", targets_per_user=25
)
VARIANTS: dict[str, tuple[int, bool]] = {"K = 0": (0, False), "K = 3, TCL": (3, True), "K = 3, no TCL": (3, False)}
"""K, and whether there is a TCL; without a step Eq. (9) has nothing to compare, so that K = 0 has one row."""
BATCH = 512
OFTEN = (0, 20, 40, 80, 160)
"""From how many clicks in training on an item is counted with the next."""
LEFT_OUT = 500
"""Requests for which each event is left out in turn."""


def main() -> None:
    """Simulate, train, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2025, help="of the log, of the negatives and of the training")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow; 0 leaves it to choose")
    parser.add_argument("--epochs", type=int, default=SUPERVISED.max_epochs)
    parser.add_argument("--batch_size", type=int, default=SUPERVISED.batch_size)
    parser.add_argument("--dim", type=int, default=SHAPE["dim"])
    parser.add_argument("--tcl_weight", type=float, default=0.1, help="lambda_TCL where there is one")
    parser.add_argument("--rows_an_item", type=float, default=LOG.rec_rows_an_item, help="how often an item is shown")
    parser.add_argument("--only", choices=VARIANTS, help="one of the models")
    args = parser.parse_args()
    quiet(args.threads)
    settings = dataclasses.replace(LOG, seed=args.seed, rec_rows_an_item=args.rows_an_item)
    log = _simulated(args.users, settings)
    config = dataclasses.replace(SUPERVISED, seed=args.seed, max_epochs=args.epochs, batch_size=args.batch_size)
    relevant, real = searches_of(log, SHAPE["search_length"])
    newest_first = np.broadcast_to(np.arange(relevant.shape[1], dtype=float), relevant.shape)
    found: dict[str, dict[str, Any]] = {
        "newest first": {
            "requests": len(areas(newest_first, relevant, real)),
            "newest": _summary(areas(newest_first, relevant, real)),
        }
    }
    chosen = [args.only] if args.only else list(VARIANTS)
    for name in chosen:
        steps, contrasted = VARIANTS[name]
        started = time.monotonic()
        shape = LcrSerConfig(**(SHAPE | log.sizes | {"dim": args.dim}), reasoning_steps=steps)
        untrained = look(LcrSer(shape), log)
        model = in_scratch(
            supervised.train,
            shape,
            dataclasses.replace(config, tcl_weight=contrasted * args.tcl_weight),
            log.timelines,
            log.eval_requests,
        )
        seen, ranks = look(model, log), RankingEvaluator(model, log.test_requests, BATCH).ranks()
        found[name] = {
            **{kind: _summary(areas(weights, relevant, real)) for kind, weights in seen.items()},
            "by target": by_target(log, seen["target attention"], relevant, real, ranks),
            "explanation": held_against_leaving_out(model, log, seen["target attention"], relevant, real),
            **{f"{kind}, untrained": _summary(areas(weights, relevant, real)) for kind, weights in untrained.items()},
            **ranking_metrics(ranks),
            "seconds": round(time.monotonic() - started, 1),
        }
        print(name, found[name], flush=True)
    detail = {
        "machine": describe(args.threads),
        "users": args.users,
        "seed": args.seed,
        "log": dataclasses.asdict(settings),
        "training": dataclasses.asdict(config),
        "targets": int(log.timelines.rec_is_target.sum()),
        "test_requests": len(log.test_requests),
        "found": found,
    }
    report(
        "relevance",
        found[args.only or "K = 3, TCL"]["target attention"]["mean"],
        f"area under the ROC curve, target attention, {args.only or 'K = 3, TCL'}",
        "above that of the newest first",
        detail,
        _rows(found),
    )


def look(model: LcrSer, log: Simulated) -> dict[str, npt.NDArray[Any]]:
    """Weights on the searches of each test request, `[R, Ls]`, the newest in the last column.

    Returns:
        `target attention`: Eq. (8) on the search side, for the positive; and where K > 0 `cross attention`: MCA_r of
        the last step on the search history, mean over heads.
    """
    windows = RequestWindows(log.test_requests, model.config)
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for begin in range(0, len(log.test_requests), BATCH):
        batch, label = windows(tf.range(begin, min(begin + BATCH, len(log.test_requests))))
        embedded = model.embed(batch)
        histories = model.read(embedded)
        with watch(model.reasoning.rec_cross) as crossed:
            steps = model.reason(histories)
        target = tf.gather(embedded.candidates, label, batch_dims=1)
        weights = model.target_weights(target, histories, steps).search.events
        parts.setdefault("target attention", []).append(weights.numpy())
        if crossed:
            parts.setdefault("cross attention", []).append(
                crossed[-1][:, 0, :, : histories.search.mask.shape[1]].mean(1)
            )
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def by_target(
    log: Simulated,
    weights: npt.NDArray[Any],
    relevant: npt.NDArray[Any],
    real: npt.NDArray[Any],
    ranks: npt.NDArray[Any],
) -> dict[str, dict[str, float]]:
    """Areas by what the target is to the model: ranked so high, or clicked so often in training."""
    of_requests = areas(weights, relevant, real)
    asked = (relevant[:, :, None] & (real & ~relevant)[:, None, :]).any((1, 2))
    requests = log.test_requests
    targets = requests.candidates[np.arange(len(requests)), requests.label][asked]
    clicks = np.bincount(log.timelines.rec_items, minlength=log.sizes["num_items"])[targets]
    parts = {"ranked first": ranks[asked] == 1, "ranked among the first five": ranks[asked] <= 5}
    for least, most in zip(OFTEN, (*OFTEN[1:], np.inf), strict=True):
        parts[f"{least} to {most - 1:.0f} clicks"] = (clicks >= least) & (clicks < most)
    return {
        name: {"requests": int(part.sum()), **_summary(of_requests[part])} for name, part in parts.items() if part.any()
    }


def held_against_leaving_out(
    model: LcrSer, log: Simulated, weights: npt.NDArray[Any], relevant: npt.NDArray[Any], real: npt.NDArray[Any]
) -> dict[str, Any]:
    """Attention's weights beside what the positive's score loses without each search, on some requests.

    Returns:
        `requests`; both areas, `attention` and `leaving out`; and `agreement`, the mean rank correlation of both over
        the searches of a request.
    """
    pairs = (relevant[:, :, None] & (real & ~relevant)[:, None, :]).any((1, 2))
    rows = np.flatnonzero(pairs)[:: max(1, pairs.sum() // LEFT_OUT)]
    windows, parts = RequestWindows(log.test_requests, model.config), []
    for begin in range(0, len(rows), 32):
        batch, label = windows(tf.constant(rows[begin : begin + 32], tf.int32))
        items = tf.gather(batch[CANDIDATES], label, batch_dims=1)
        parts.append(leave_one_out(model, batch, items)[1].numpy())
    worth, weights, real = np.concatenate(parts), weights[rows], real[rows]
    agreement = [
        stats.spearmanr(one[there], other[there]).statistic
        for one, other, there in zip(weights, worth, real, strict=True)
        if there.sum() > 2
    ]
    return {
        "requests": len(rows),
        "attention": _summary(areas(weights, relevant[rows], real)),
        "leaving out": _summary(areas(worth, relevant[rows], real)),
        "agreement": _summary(np.array(agreement)),
    }


def searches_of(log: Simulated, length: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Which of the newest searches of each test request bear on its target, and which are there: `[R, Ls]` each."""
    ends = log.test_requests.search_offsets[1:, None]
    at = ends - length + np.arange(length)
    real = at >= log.test_requests.search_offsets[:-1, None]
    return np.where(real, np.append(log.relevant, False)[np.where(real, at, -1)], False), real


def areas(weights: npt.NDArray[Any], relevant: npt.NDArray[Any], real: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Area under the ROC curve of each request with a relevant and an irrelevant search; ties count half.

    Args:
        weights: of the searches, `[R, Ls]`.
        relevant: which searches are relevant, `[R, Ls]`.
        real: which searches are there, `[R, Ls]`.
    """
    pairs = relevant[:, :, None] & (real & ~relevant)[:, None, :]
    asked = pairs.any((1, 2))
    weights, pairs = weights[asked], pairs[asked]
    above = (weights[:, :, None] > weights[:, None, :]) + 0.5 * (weights[:, :, None] == weights[:, None, :])
    return (above * pairs).sum((1, 2)) / pairs.sum((1, 2))


def _simulated(users: int, settings: SimulatorSettings) -> Simulated:
    with tempfile.TemporaryDirectory() as directory:
        simulate(directory, users * settings.rows, settings)
        return read(Path(directory), settings.seed)


def _summary(values: npt.NDArray[Any]) -> dict[str, float]:
    return {"mean": round(float(values.mean()), 4), "error": round(float(values.std() / len(values) ** 0.5), 4)}


def _rows(found: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    kinds = ("target attention", "cross attention", "target attention, untrained", "cross attention, untrained")
    rows: list[tuple[str, ...]] = [("", *kinds, "NDCG@5")]
    newest = found["newest first"]["newest"]
    rows.append(("newest first", f"{newest['mean']:.3f}", f"{newest['mean']:.3f}", "", "", ""))
    for name in [name for name in VARIANTS if name in found]:
        cells = [
            f"{found[name][kind]['mean']:.3f} ± {found[name][kind]['error']:.3f}" if kind in found[name] else "-"
            for kind in kinds
        ]
        rows.append((name, *cells, f"{found[name]['NDCG@5']:.4f}"))
    return rows


if __name__ == "__main__":
    main()
