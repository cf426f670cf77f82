"""What a GRPO step costs, over a supervised step on the same rows and the same 1 + 99 candidates.

python -m benchmarks.grpo --threads 1
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from benchmarks import operations
from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import SHAPE, SUPERVISED, USERS
from benchmarks.timing import time_in_turns
from benchmarks.trace import name_optimizer
from model.config import GrpoConfig
from model.data.timelines import Timelines
from model.lcr_ser import LcrSer
from model.training import reinforcement, supervised
from model.training.optimizers import SplitAdam
from tests.support.full_histories import random_timelines

ROWS = 128


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=8)
    machine = describe(args.threads)
    supervised_step, grpo_step = make_steps(random_timelines(SHAPE, USERS, 4), args.jit)
    timings = time_in_turns(
        {
            "supervised": supervised_step,
            "GRPO, N = 8": grpo_step,
        },
        args.rounds,
    )
    ratio = timings["GRPO, N = 8"].over(timings["supervised"])
    counts = {
        "supervised": operations.training(SHAPE, 100, 2),
        # The policy forward and backward, the reference forward; its first trajectory is no different in cost.
        "GRPO, N = 8": 4 * operations.forward(SHAPE, 100, trajectories=8),
    }
    rows = [("step", "seconds", "fastest", "operations a row")]
    rows += [
        (name, f"{timing.median:.3f}", f"{timing.fastest:.3f}", f"{counts[name] / 1e6:,.0f} M")
        for name, timing in timings.items()
    ]
    detail = {
        "machine": machine,
        "rows": ROWS,
        "candidates": 100,
        "trajectories": 8,
        "seconds": {name: timing.median for name, timing in timings.items()},
        "operations_a_row": counts,
        "ratio_by_operations": counts["GRPO, N = 8"] / counts["supervised"],
    }
    report("grpo", ratio, "times a supervised step", "4.5 at the most", detail, rows)


def make_steps(timelines: Timelines, jit: bool = False) -> tuple[Callable[[], float], Callable[[], float]]:
    """A supervised and a GRPO step on the same rows and as many candidates."""
    positions, number = tf.constant(timelines.targets[:ROWS]), tf.constant(0, tf.int64)
    config = GrpoConfig(num_trajectories=8, num_negatives=99, batch_size=ROWS, jit_compile=jit)
    model, student = LcrSer(SHAPE), LcrSer(SHAPE)
    optimizer = name_optimizer(SplitAdam([layer.table for layer in model.tables], model.dense_variables, 1e-3))
    taught = supervised.make_step(
        model, optimizer, dataclasses.replace(SUPERVISED, num_negatives=99, jit_compile=jit), timelines
    )
    learner = name_optimizer(reinforcement.make_optimizer(student, config))
    reinforced = reinforcement.make_step(student, reinforcement.copy_policy(student), learner, config, timelines)
    return (
        lambda: float(taught(number, positions)["loss"]),
        lambda: float(reinforced(number, positions)["loss"]),
    )


if __name__ == "__main__":
    main()
