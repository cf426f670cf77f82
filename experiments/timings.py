"""What systems cost on a log: Table 4 of the paper, and parameters, rates and memory of all."""

import dataclasses
import multiprocessing
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.last_run import Experiment, quiet, read_experiment
from benchmarks.timing import Timing, time_in_turns
from experiments.systems import System, systems_of
from model.evaluation.evaluator import RankingEvaluator
from model.registry import make_ranker
from model.training import supervised
from model.training.batches import batches
from model.training.optimizers import make_optimizer
from tfx_pipeline.console.quiet import set_environment

MEBI = 1 << 20
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


def inference_times(system: System, steps: Sequence[int], experiment: Experiment, rounds: int) -> dict[int, Timing]:
    """Time to rank the test split with K reasoning steps, for each K in turns; the weights do not matter.

    Args:
        system: of kind `lcr_ser`.
        steps: values of K.
        experiment: the log.
        rounds: timed calls of each.
    """
    batch = system.supervised.eval_batch_size
    calls = {
        str(number): RankingEvaluator(
            make_ranker(dataclasses.replace(system.model, reasoning_steps=number)),  # type: ignore[call-arg]
            experiment.test_requests,
            batch,
        ).ranks
        for number in steps
    }
    timings = time_in_turns(calls, rounds, warm_up=1)
    return {number: timings[str(number)] for number in steps}


def costs(
    config: Mapping[str, Any], names: Sequence[str], tuned: Mapping[str, Any], threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Parameters, rates and memory of each system, each in a process of its own, one after the other.

    Args:
        config: as `systems_of` takes it.
        names: systems to measure.
        tuned: as `systems_of` takes it.
        threads: of TensorFlow.
        rounds: timed steps, and timed evaluations of the test split, of each.
    """
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in names:
        with context.Pool(1, initializer=set_environment) as pool:
            row = pool.apply(_cost, (dict(config), name, dict(tuned), threads, rounds))
        rows.append(row)
        print(f"{name}: {row['requests_a_second']:,.0f} requests a second", flush=True)
    return rows


def _cost(config: dict[str, Any], name: str, tuned: dict[str, Any], threads: int, rounds: int) -> dict[str, Any]:
    quiet(threads)
    experiment = read_experiment()
    system = systems_of(config, experiment, tuned)[name]
    before = _peak()
    model = make_ranker(system.model)
    model.fit_counts(experiment.timelines)
    found: dict[str, Any] = {
        "system": name,
        "parameters": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
        "batch": system.supervised.batch_size,
    }
    if model.trainable_variables:
        found["rows_a_second"] = _training_rate(model, system, experiment, rounds)
    evaluator = RankingEvaluator(model, experiment.test_requests, system.supervised.eval_batch_size)
    timing = time_in_turns({"ranks": evaluator.ranks}, rounds=3, warm_up=1)["ranks"]
    found["requests_a_second"] = len(experiment.test_requests) / timing.median
    return {**found, "memory": (_peak() - before) / MEBI}


def _training_rate(model: Any, system: System, experiment: Experiment, rounds: int) -> float:
    config = system.supervised
    optimizer = make_optimizer(
        config.optimizer, [layer.table for layer in model.tables], model.dense_variables, config.learning_rate
    )
    order = batches(experiment.timelines.last_targets(config.targets_per_user), config.batch_size, config.seed)
    searches = supervised.search_order(model, experiment.timelines, order.steps_per_epoch, config.seed)
    take_step = supervised.make_step(model, optimizer, config, experiment.timelines)
    seconds = []
    for number in range(rounds + 3):  # the first trace, allocate and fill caches
        begin = time.monotonic()
        logs = take_step(
            tf.constant(number, tf.int64),
            tf.constant(order.batch(number)),
            *(tf.constant(one.batch(number)) for one in searches),
        )
        float(logs["loss"])
        seconds.append(time.monotonic() - begin)
    return float(len(order.batch(0)) / np.median(seconds[3:]))


def _peak() -> int:
    """Of this process, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
