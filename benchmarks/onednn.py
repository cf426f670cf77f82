"""What oneDNN changes: the speed of training, of evaluation and of a served model, and the scores that are served.

    python -m benchmarks.onednn build/lcr_ser_demo/serving/lcr_ser_demo/VERSION --threads 1

Processes with it and without take turns, as TensorFlow reads the switch once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.result import report
from benchmarks.sizes import SHAPE, SUPERVISED
from benchmarks.timing import time_in_turns
from benchmarks.training import ours
from components.servable_check.session import SessionModel, Signature
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from tests.support.full_histories import random_requests, random_timelines

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
USERS, CANDIDATES, EVENTS = 32, 100, 10
CALLS = 20


def main() -> None:
    """Measures and reports, or is one of the processes that measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saved_model", help="a pushed version")
    parser.add_argument("--threads", type=int, default=1, help="0 leaves it to TensorFlow")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--scores", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.scores:
        print(json.dumps(measure(args)))
    else:
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Run the processes in turns."""
    found: dict[str, list[dict[str, float]]] = {"0": [], "1": []}
    scores: dict[str, npt.NDArray[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for switch, measured in found.items():
                file = os.path.join(folder, f"{switch}.npy")
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.onednn",
                    args.saved_model,
                    "--threads",
                    str(args.threads),
                    "--scores",
                    file,
                ]
                child = subprocess.run(
                    command, env={**os.environ, SWITCH: switch}, check=True, capture_output=True, text=True
                )
                measured.append(json.loads(child.stdout.splitlines()[-1]))
                scores[switch] = np.load(file)
    ratios = {
        name: statistics.median(on[name] / off[name] for off, on in zip(*found.values(), strict=True))
        for name in found["0"][0]
    }
    rows: list[tuple[str, ...]] = [("", "without, ms", "with, ms", "with / without")]
    rows += [
        (
            name,
            *(f"{1e3 * statistics.median(one[name] for one in measured):.2f}" for measured in found.values()),
            f"{ratio:.2f}",
        )
        for name, ratio in ratios.items()
    ]
    farthest = float(np.abs(scores["1"] - scores["0"]).max())
    rows.append(("largest distance of a score", "", f"{farthest:.2g}", ""))
    report(
        "onednn",
        max(ratios.values()),
        "of the time without",
        "no score differs but by rounding",
        {"processor_seconds": found, "ratios": ratios, "score_distance": farthest},
        rows,
    )


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Processor seconds of each thing; writes the scores that the served model gives."""
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    evaluator = RankingEvaluator(LcrSer(SHAPE), random_requests(SHAPE, 512, CANDIDATES), 512)
    with SessionModel(args.saved_model) as model:
        inputs = {users: _inputs(users) for users in (1, USERS)}
        np.save(args.scores, model.signatures["rank"](**inputs[USERS])["scores"])
        calls = {
            "training step": ours(random_timelines(SHAPE, 512, 4), SUPERVISED),
            "evaluation of 512 requests": evaluator.ranks,
            **{
                f"{CALLS} rank calls, {users} users": _repeated(model.signatures["rank"], inputs[users])
                for users in (1, USERS)
            },
        }
        return {name: timing.cpu for name, timing in time_in_turns(calls, rounds=5).items()}


def _repeated(signature: Signature, inputs: dict[str, npt.NDArray[Any]]) -> Callable[[], None]:
    def call() -> None:
        for _ in range(CALLS):
            signature(**inputs)

    return call


def _inputs(users: int) -> dict[str, npt.NDArray[Any]]:
    """Requests of ids as the demo log has them; some are known, some are not."""
    random = np.random.default_rng(0)

    def ids(*shape: int) -> npt.NDArray[Any]:
        return np.array([b"%d" % one for one in random.integers(0, 1_000, shape).ravel()], object).reshape(shape)

    return {
        "user": ids(users),
        "rec_items": ids(users, EVENTS),
        "search_words": ids(users, EVENTS, 3),
        "search_items": ids(users, EVENTS, 2),
        "candidates": ids(users, CANDIDATES),
    }


if __name__ == "__main__":
    main()
