"""Rows a second of a supervised step with its input pipeline, ours and the plain version, in one run.

python -m benchmarks.training --threads 1
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks import operations
from benchmarks.machine import describe, parse
from benchmarks.result import report
from benchmarks.sizes import BATCH, SHAPE, SUPERVISED, USERS
from benchmarks.timing import time_in_turns
from benchmarks.trace import name_optimizer
from model.config import LcrSerConfig, SupervisedConfig
from model.data.targets import TargetOrder
from model.data.timelines import Timelines
from model.lcr_ser import LcrSer
from model.plain import PlainLcrSer
from model.training import supervised
from model.training.optimizers import SplitAdam
from tests.support.full_histories import random_timelines
from tests.support.plain_step import make_plain_step

TARGET, RATE_OF_TARGET = 2200, 150
LITERATURE = {"UniSAR, released code, Amazon constants, one thread of another machine (literature)": 145}


def main() -> None:
    """Measures and reports."""
    args = parse(__doc__, rounds=8)
    machine = describe(args.threads)
    timelines = random_timelines(SHAPE, USERS, 4)
    config = dataclasses.replace(SUPERVISED, jit_compile=args.jit)
    calls = {"ours": ours(timelines, config), "plain Keras": plain(timelines, SUPERVISED)}
    timings = time_in_turns(calls, args.rounds)
    count = operations.training(SHAPE, 1 + SUPERVISED.num_negatives, 2)
    floor = machine["matmul_gflops"] * 1e9 / count
    rates = {name: BATCH / timing.median for name, timing in timings.items()}
    rows = [("", "rows a second", "best", "rows a CPU second", "of the floor")]
    for name, timing in timings.items():
        rows.append(
            (
                name,
                f"{rates[name]:,.0f}",
                f"{BATCH / timing.fastest:,.0f}",
                f"{BATCH / timing.cpu:,.0f}",
                f"{rates[name] / floor:.0%}",
            )
        )
    rows.append(
        (
            f"the target, set on a machine of {RATE_OF_TARGET} GFLOP/s",
            f"{TARGET:,}",
            "",
            "",
            f"{TARGET * count / (RATE_OF_TARGET * 1e9):.0%}",
        )
    )
    rows += [(name, f"{rate:,}", "", "", "") for name, rate in LITERATURE.items()]
    detail = {
        "machine": machine,
        "operations_a_row": count,
        "bytes_a_row": operations.bytes_moved(SHAPE, 2),
        "floor_rows_a_second": floor,
        "rows_a_second": rates,
        "ratio_to_plain": timings["plain Keras"].over(timings["ours"]),
        "literature": LITERATURE,
    }
    report("training", rates["ours"], "rows a second", f"{TARGET:,} on one thread", detail, rows)


def ours(timelines: Timelines, config: SupervisedConfig, shape: LcrSerConfig = SHAPE) -> Callable[[], float]:
    """A call that takes one step with the next targets."""
    keras.utils.set_random_seed(config.seed)
    model = LcrSer(shape)
    optimizer = name_optimizer(
        SplitAdam([layer.table for layer in model.tables], model.dense_variables, config.learning_rate)
    )
    return _steps(supervised.make_step(model, optimizer, config, timelines), timelines, config)


def plain(timelines: Timelines, config: SupervisedConfig) -> Callable[[], float]:
    """The same of the plain version."""
    keras.utils.set_random_seed(config.seed)
    model = PlainLcrSer(SHAPE)
    return _steps(make_plain_step(model, config, timelines), timelines, config)


def _steps(
    take_step: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]], timelines: Timelines, config: SupervisedConfig
) -> Callable[[], float]:
    order = TargetOrder(np.asarray(timelines.targets), config.batch_size, config.seed)
    done = iter(range(1_000_000))

    def call() -> float:
        number = next(done)
        return float(take_step(tf.constant(number, tf.int64), tf.constant(order.batch(number)))["loss"])

    return call


if __name__ == "__main__":
    main()
