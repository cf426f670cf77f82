"""Table 3 of the paper on one log: modules added one by one, then GRPO against further supervised steps.

    python -m experiments.ladder --seeds 2025 2026 2027            # results to build/bench/ladder_NAME.jsonl
    python -m experiments.ladder --report                          # the tables, from that file

What is in the file is not trained again, so that several processes or days can share the work.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.last_run import Experiment, append, in_scratch, quiet, read_experiment, without_searches
from experiments.ladder_report import CONTROLS, report
from model.training import reinforcement, supervised
from tfx_pipeline.settings import load

# Each rung has one setting more than the one before it; the first two stand beside the ladder.
RUNGS: dict[str, dict[str, dict[str, Any]]] = {
    "K = 0, no searches": {"model": {"reasoning_steps": 0}, "supervised": {"tcl_weight": 0.0}},
    "K = 0": {"model": {"reasoning_steps": 0}, "supervised": {"tcl_weight": 0.0}},
    "Base": {"model": {"reasoning_steps": 0, "aggregation": "mean"}, "supervised": {"tcl_weight": 0.0}},
    "+LCR": {"model": {"aggregation": "mean"}, "supervised": {"tcl_weight": 0.0}},
    "+TRA": {"model": {}, "supervised": {"tcl_weight": 0.0}},
    "+TCL": {"model": {}, "supervised": {}},
}
# GRPO, and what it has to beat: the same further budget of supervised steps, at their own learning rate, at GRPO's,
# and at GRPO's with as many candidates.
FURTHER = ("+RL", *CONTROLS)


def main() -> None:
    """Trains what is missing, or prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2025, 2026, 2027])
    parser.add_argument("--rungs", nargs="+", choices=[*RUNGS, *FURTHER], default=[*RUNGS, *FURTHER])
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; 0 leaves it to choose")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    settings = load()
    results = settings.output_dir / "bench" / f"ladder_{settings.name}.jsonl"
    if args.report:
        print(report(_rows(results), [*RUNGS, *FURTHER]))
        return
    quiet(args.threads)
    experiment = read_experiment()
    for seed in args.seeds:
        done = {row["rung"] for row in _rows(results) if row["seed"] == seed}
        for rung in (rung for rung in RUNGS if rung in args.rungs):
            further = [name for name in FURTHER if name in args.rungs and name not in done and rung == "+TCL"]
            if rung not in done or further:
                _climb(experiment, results, seed, rung, further=further, new=rung not in done)


def _climb(experiment: Experiment, results: Path, seed: int, rung: str, *, further: list[str], new: bool) -> None:
    if rung == "K = 0, no searches":
        experiment = dataclasses.replace(
            experiment,
            **{
                name: without_searches(getattr(experiment, name))
                for name in ("timelines", "eval_requests", "test_requests")
            },
        )
    shape = dataclasses.replace(experiment.shape, **RUNGS[rung]["model"])
    config = dataclasses.replace(experiment.supervised, seed=seed, **RUNGS[rung]["supervised"])
    logs = (experiment.timelines, experiment.eval_requests)
    begin = time.monotonic()
    model = in_scratch(supervised.train, shape, config, *logs)
    if new:
        append(results, {"rung": rung, "seed": seed, **experiment.test_metrics(model), "seconds": _since(begin)})
    for name in further:
        begin = time.monotonic()
        start = reinforcement.copy_policy(model, share_tables=False)
        if name == "+RL":
            grpo = dataclasses.replace(experiment.grpo, seed=seed)
            trained = in_scratch(reinforcement.train, start, grpo, *logs)
        else:
            trained = in_scratch(supervised.train, shape, _further_steps(experiment, config, name), *logs, start=start)
        append(results, {"rung": name, "seed": seed, **experiment.test_metrics(trained), "seconds": _since(begin)})


def _further_steps(experiment: Experiment, config: Any, name: str) -> Any:
    """As many further supervised steps, of as many rows, evaluated as often, as GRPO takes."""
    grpo = experiment.grpo
    steps_per_epoch = len(experiment.timelines.last_targets(config.targets_per_user)) // grpo.batch_size
    return dataclasses.replace(
        config,
        seed=config.seed + 1000,  # other dropout and negatives than in the first training
        batch_size=grpo.batch_size,
        max_steps=grpo.max_steps * grpo.updates_per_rollout,
        evaluations_per_epoch=max(1, steps_per_epoch // grpo.eval_every),
        patience=grpo.patience,
        max_eval_requests=grpo.max_eval_requests,
        learning_rate=config.learning_rate if name == CONTROLS[0] else grpo.learning_rate,
        num_negatives=grpo.num_negatives if name == CONTROLS[2] else config.num_negatives,
    )


def _since(begin: float) -> int:
    return round(time.monotonic() - begin)


def _rows(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


if __name__ == "__main__":
    main()
