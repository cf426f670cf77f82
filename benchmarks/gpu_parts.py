"""One process of `benchmarks.gpu`, which starts it: `python -m benchmarks.gpu_parts PROCESS FOLDER --seconds N`."""

import argparse
import dataclasses
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import trace
from benchmarks.gpu_demo import train_demo
from benchmarks.gpu_journal import Journal
from benchmarks.gpu_plan import (
    ACTIVITY,
    BFLOAT16,
    CARD,
    CORRECTNESS,
    CPU,
    DEMO,
    EVALUATION,
    FIRST_STEP,
    FLOAT32,
    FULL,
    GROUP_DIFFERENCE,
    GROUP_STEPS,
    GRPO,
    KS,
    LAUNCHES,
    LOSS_DIFFERENCE,
    LOSS_STEPS,
    NORM_DIFFERENCE,
    OPERATIONS,
    POLICIES,
    RANK_DISTANCE,
    RANKS_MOVED,
    REASONING,
    SMALL,
    SUPERVISED,
    TF32,
    THROUGHPUT,
    XLA_CACHED,
    XLA_FRESH,
    Scale,
    cell,
    of_activity,
    xla_precision,
)
from benchmarks.sizes import SUPERVISED as SETTINGS
from benchmarks.timing import time_in_turns
from model.config import GrpoConfig
from model.data.columns import Array
from model.data.requests import Requests
from model.data.targets import TargetOrder
from model.data.timelines import Timelines
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from model.training import reinforcement, supervised
from model.training.optimizers import make_optimizer
from tests.support.full_histories import random_requests, random_timelines

TRACED_STEPS, MOST_STEPS, LEAST_STEPS, ROUNDS = 3, 30, 3, 5
NO_CARD = "there is no GPU"
REFERENCE = "reference.npz"
NO_CARD_STATUS = 3


def main() -> None:
    """Measure the parts of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("process", choices=(CPU, XLA_FRESH, CARD, XLA_CACHED))
    parser.add_argument("folder", type=Path, help="of the journals")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--demo", type=Path)
    args = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    journal = Journal(args.folder / f"{args.process}.jsonl", args.seconds)
    process = Process(journal, SMALL if args.small else FULL, args.folder)
    if args.process == CPU:
        # The other half is the compiler's, which works at the same time.
        tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 2) // 2))
    elif not process.card and not args.small:
        raise SystemExit(NO_CARD_STATUS)
    journal.note(machine=machine())
    if args.process == CPU:
        process.on_cpu()
    elif args.process == CARD:
        process.on_card(args.demo)
    else:
        process.with_xla(args.process == XLA_CACHED)
    raise SystemExit(1 if journal.failed else 0)


def machine() -> dict[str, Any]:
    """What TensorFlow works on here."""
    cards = tf.config.list_physical_devices("GPU")
    return {
        "cards": [tf.config.experimental.get_device_details(card) for card in cards],
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
    }


def multiply_in(precision: str) -> None:
    """Let a GPU use TF32 for products of float32 or not; it is asked at each product, so a compiled step follows.

    Only what is compiled with XLA keeps what was said when it was compiled.
    """
    tf.config.experimental.enable_tensor_float_32_execution(precision != FLOAT32)


class Step:
    """One stage's step: each call takes the next one.

    Args:
        scale: sizes.
        timelines: the log.
        stage, rows: which step.
        policy: of Keras.
        jit: compile it with XLA.
        weights: to begin with, as `weights_of` gives them; None for new ones, which only the seed decides.
    """

    def __init__(
        self,
        scale: Scale,
        timelines: Timelines,
        stage: str,
        rows: int,
        *,
        policy: str = FLOAT32,
        jit: bool = False,
        weights: list[Array] | None = None,
    ) -> None:
        keras.utils.set_random_seed(SETTINGS.seed)
        self.model = LcrSer(scale.shape, dtype=policy)
        self.weights = weights or weights_of(self.model)
        for variable, value in zip(_variables(self.model), self.weights, strict=True):
            variable.assign(value)
        if stage == SUPERVISED:
            config = dataclasses.replace(SETTINGS, batch_size=rows, jit_compile=jit)
            tables = [layer.table for layer in self.model.tables]
            optimizer = make_optimizer(config.optimizer, tables, self.model.dense_variables, config.learning_rate)
            self._step = supervised.make_step(self.model, trace.name_optimizer(optimizer), config, timelines)
        else:
            of_groups = GrpoConfig(
                num_trajectories=scale.trajectories,
                num_negatives=scale.candidates - 1,
                # A model that knows nothing yet moves few rankings' first place: most groups would teach nothing.
                reward={"NDCG@10": 1.0},
                noise_scale=1.0,
                batch_size=rows,
                jit_compile=jit,
            )
            self._step = reinforcement.make_step(
                self.model,
                reinforcement.copy_policy(self.model),
                trace.name_optimizer(reinforcement.make_optimizer(self.model, of_groups)),
                of_groups,
                timelines,
            )
        self._order = TargetOrder(np.asarray(timelines.targets), rows, SETTINGS.seed)
        self._number = 0

    def __call__(self) -> dict[str, float]:
        """What the step logs; all of it has arrived on the host, as the training loop looks at each loss."""
        logs = self._step(tf.constant(self._number, tf.int64), tf.constant(self._order.batch(self._number)))
        self._number += 1
        return {name: float(value) for name, value in logs.items()}


def _variables(model: LcrSer) -> list[Any]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def weights_of(model: LcrSer) -> list[Array]:
    """All that a model consists of, seeds of dropout included."""
    return [np.asarray(variable.value) for variable in _variables(model)]


def distances(found: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, float]:
    """How far a device's values are from the CPU's, as `gpu_plan.TOLERANCES` bounds it.

    Args:
        found, expected: `losses` of supervised steps, `group_losses` and `norms` of GRPO steps, `ranks` of requests.
    """
    away = {name: np.abs(values - expected[name]) for name, values in found.items()}
    return {
        LOSS_DIFFERENCE: float(np.max(away["losses"] / np.abs(expected["losses"]))),
        GROUP_DIFFERENCE: float(np.max(away["group_losses"]) / np.max(np.abs(expected["group_losses"]))),
        NORM_DIFFERENCE: float(np.max(away["norms"]) / np.max(expected["norms"])),
        RANKS_MOVED: float(np.mean(away["ranks"] > 0)),
        RANK_DISTANCE: float(np.max(away["ranks"])),
    }


def seconds_of(call: Callable[[], object], limit: float) -> float:
    """Median wall time of a call, after two that warm up."""
    call()
    call()
    times: list[float] = []
    end = time.perf_counter() + limit
    while len(times) < LEAST_STEPS or (len(times) < MOST_STEPS and time.perf_counter() < end):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class Process:
    """The parts, and what they share.

    Args:
        journal: written to.
        scale: sizes.
        folder: of what one process leaves for another.
    """

    def __init__(self, journal: Journal, scale: Scale, folder: Path) -> None:
        self.journal, self.scale, self.folder = journal, scale, folder
        self.card = bool(tf.config.list_physical_devices("GPU"))
        self._kept: dict[tuple[str, int], Step] = {}

    @functools.cached_property
    def timelines(self) -> Timelines:
        """A random log of full histories."""
        return random_timelines(self.scale.shape, self.scale.users, 4)

    @functools.cached_property
    def requests(self) -> Requests:
        """Random requests, as many as the largest evaluation step takes."""
        return random_requests(self.scale.shape, self._requests(max(self.scale.rows)), self.scale.candidates)

    def on_cpu(self) -> None:
        """What the card's values are held against, and the executed operations."""
        caps = self.scale.caps
        self.journal.run(CORRECTNESS, caps[CORRECTNESS], self._leave_reference)
        self.journal.run(OPERATIONS, caps[OPERATIONS], self._operations)

    def on_card(self, demo: Path | None) -> None:
        """Correctness, throughput, launches, reasoning, the demo log."""
        caps = self.scale.caps
        self.journal.run(CORRECTNESS, caps[CORRECTNESS], self._correctness)
        self.journal.run(THROUGHPUT, caps[THROUGHPUT], self._throughput)
        self.journal.run(REASONING, caps[REASONING], self._reasoning)
        if demo:
            self.journal.run(DEMO, caps[DEMO], lambda: train_demo(self.journal, demo, short=self.scale is SMALL))
        else:
            self.journal.leave_out(DEMO, "no folder was given")

    def with_xla(self, cached: bool) -> None:
        """The first step; without a cache that step's rate and launches, with one those of the other steps."""
        self.journal.run(FIRST_STEP, self.scale.caps[FIRST_STEP], functools.partial(self._first_step, cached))
        self.journal.run(THROUGHPUT, self.scale.caps[THROUGHPUT], self._rest_of_xla if cached else self._first_of_xla)

    def _values(self, weights: list[Array] | None) -> dict[str, Array]:
        """Losses and ranks in float32, all from the same weights. The steps are kept to be timed."""
        scale = self.scale
        multiply_in(FLOAT32)
        taught = Step(scale, self.timelines, SUPERVISED, scale.rows[0], weights=weights)
        before = LcrSer(scale.shape)
        for variable, value in zip(_variables(before), taught.weights, strict=True):
            variable.assign(value)
        began = time.perf_counter()
        losses = [taught()["loss"]]
        if weights:
            self.journal.give(FIRST_STEP, "without XLA", time.perf_counter() - began)
        losses += [taught()["loss"] for _ in range(LOSS_STEPS - 1)]
        grouped = Step(scale, self.timelines, GRPO, scale.grpo_rows, weights=taught.weights)
        groups = [grouped() for _ in range(GROUP_STEPS)]
        requests = random_requests(scale.shape, scale.requests, scale.candidates)
        self._kept = {(SUPERVISED, scale.rows[0]): taught, (GRPO, scale.grpo_rows): grouped}
        return {
            "losses": np.array(losses),
            "group_losses": np.array([logs["loss"] for logs in groups]),
            "norms": np.array([logs["grad_norm"] for logs in groups]),
            "ranks": RankingEvaluator(before, requests, scale.requests).ranks(),
        }

    def _leave_reference(self) -> None:
        arrays: dict[str, Any] = dict(self._values(None))
        weights = self._kept[SUPERVISED, self.scale.rows[0]].weights
        arrays |= {f"weight_{number}": value for number, value in enumerate(weights)}
        # Under another name until it is whole.
        with (self.folder / "partial").open("wb") as file:
            np.savez(file, **arrays)
        (self.folder / "partial").rename(self.folder / REFERENCE)

    def _correctness(self) -> None:
        if not (self.folder / REFERENCE).exists():
            self.journal.leave_out(CORRECTNESS, "the CPU's values are not there")
            return
        with np.load(self.folder / REFERENCE) as file:
            expected = dict(file)
        weights = [expected[f"weight_{number}"] for number in range(len(expected) - 4)]
        for what, distance in distances(self._values(weights), expected).items():
            self.journal.give(CORRECTNESS, what, distance)

    def _operations(self) -> None:
        for stage, rows in ((SUPERVISED, self.scale.rows[0]), (GRPO, self.scale.grpo_rows)):
            step = self._step(stage, rows)
            step()
            space, _ = trace.record(step, TRACED_STEPS)
            executed, of_optimizer = trace.count(trace.operations(space), TRACED_STEPS)
            self.journal.give(OPERATIONS, stage, executed)
            self.journal.give(OPERATIONS, f"{stage}, of these the optimizer's", of_optimizer)

    def _step(self, stage: str, rows: int, policy: str = FLOAT32) -> Step:
        """The step of the correctness part, where it is the same; else a new one."""
        kept = self._kept.pop((stage, rows), None) if policy == FLOAT32 else None
        return kept or Step(self.scale, self.timelines, stage, rows, policy=policy)

    def _throughput(self) -> None:
        scale = self.scale
        if not self.card:
            for what in self._cells(TF32):
                self.journal.leave_out(THROUGHPUT, f"tf32 is a GPU's, and {NO_CARD}", what)
            self.journal.leave_out(LAUNCHES, NO_CARD)
        first, *larger = [(SUPERVISED, rows) for rows in scale.rows]
        evaluations = [(EVALUATION, rows) for rows in scale.rows]
        for policy, precisions in POLICIES.items():
            measured = [one for one in precisions if self.card or one != TF32]
            for stage, rows in (first, (GRPO, scale.grpo_rows), *larger, *evaluations):
                self._measure(stage, rows, policy, measured)

    def _measure(self, stage: str, rows: int, policy: str, precisions: list[str]) -> None:
        """Rates of one step in some precisions; in tf32 its launches, where these are wanted."""
        if stage == EVALUATION:
            model = LcrSer(self.scale.shape, dtype=policy)
            count = self._requests(rows)
            call: Callable[[], object] = RankingEvaluator(model, self.requests, rows, count).ranks
        else:
            call, count = self._step(stage, rows, policy), rows
        for precision in precisions:
            multiply_in(precision)
            what = cell(stage, rows, precision)
            try:
                seconds = seconds_of(call, self.scale.seconds)
            except tf.errors.ResourceExhaustedError:
                self.journal.leave_out(THROUGHPUT, "the card's memory is too small", what)
                continue
            self.journal.give(THROUGHPUT, what, count / seconds, ms=seconds * 1e3)
            traced = stage == GRPO or rows in self.scale.traced
            if precision == TF32 and stage != EVALUATION and traced:
                self._launches(call, cell(stage, rows), seconds)

    def _launches(self, call: Callable[[], object], step: str, seconds: float, batches: int = 1) -> None:
        """Trace a few calls, each of some batches, which take so many seconds untraced."""
        space, wall = trace.record(call, TRACED_STEPS)
        activity = trace.device_activity(space, TRACED_STEPS * batches)
        if activity is None:
            self.journal.leave_out(LAUNCHES, "the trace shows no kernel" if self.card else NO_CARD, step)
            return
        for field, value in of_activity(activity, wall / batches, seconds / batches * 1e3).items():
            self.journal.give(LAUNCHES, f"{step}: {ACTIVITY[field]}", value)

    def _requests(self, rows: int) -> int:
        """How many are ranked for a rate at so many a step: four steps at the least."""
        return max(4 * min(self.scale.rows), rows)

    def _cells(self, precision: str) -> Iterator[str]:
        yield cell(GRPO, self.scale.grpo_rows, precision)
        for stage in (SUPERVISED, EVALUATION):
            yield from (cell(stage, rows, precision) for rows in self.scale.rows)

    def _reasoning(self) -> None:
        scale, rows = self.scale, self.scale.reasoning_rows
        multiply_in(TF32)
        count = self._requests(rows)
        calls = {
            str(steps): RankingEvaluator(
                LcrSer(dataclasses.replace(scale.shape, reasoning_steps=steps)), self.requests, rows, count
            ).ranks
            for steps in KS
        }
        timings = time_in_turns(calls, ROUNDS, warm_up=1)
        for steps in KS:
            timing = timings[str(steps)]
            self.journal.give(REASONING, f"K = {steps}, {rows:,} rows", count / timing.median)
            if steps:
                self.journal.give(REASONING, f"K = {steps} over K = 0", 100 * (timing.over(timings["0"]) - 1))
        if self.card:
            self._launches(calls["3"], cell(EVALUATION, rows), timings["3"].median, -(-count // rows))

    def _first_step(self, cached: bool) -> None:
        rows, precision = self.scale.rows[0], xla_precision(self.scale)
        files = len(list((self.folder / "xla_cache").glob("*")))
        if cached and not files:
            self.journal.leave_out(FIRST_STEP, "XLA left nothing in its cache")
            return
        multiply_in(precision)
        # Nothing but this step may be compiled before: an entry of the cache is found by its function's name, which
        # counts the functions of the process.
        step = Step(self.scale, self.timelines, SUPERVISED, rows, jit=True)
        began = time.perf_counter()
        step()
        what = "with XLA and its cache" if cached else "with XLA"
        self.journal.give(FIRST_STEP, what, time.perf_counter() - began, files_before=files)
        self._kept = {(SUPERVISED, rows): step}

    def _first_of_xla(self) -> None:
        rows, precision = self.scale.rows[0], xla_precision(self.scale)
        if not self._kept:
            self.journal.leave_out(THROUGHPUT, "the first step did not end")
            return
        step = self._kept[SUPERVISED, rows]
        seconds = seconds_of(step, self.scale.seconds)
        self.journal.give(THROUGHPUT, f"{cell(SUPERVISED, rows, precision)}, XLA", rows / seconds, ms=seconds * 1e3)
        if self.card:
            self._launches(step, f"{cell(SUPERVISED, rows)}, XLA", seconds)
        else:
            self.journal.leave_out(LAUNCHES, NO_CARD)

    def _rest_of_xla(self) -> None:
        for stage, rows, precision in self.scale.xla:
            multiply_in(precision)
            policy = BFLOAT16 if precision == BFLOAT16 else FLOAT32
            step = Step(self.scale, self.timelines, stage, rows, policy=policy, jit=True)
            seconds = seconds_of(step, self.scale.seconds)
            what = f"{cell(stage, rows, precision)}, XLA"
            self.journal.give(THROUGHPUT, what, rows / seconds, ms=seconds * 1e3)
            if self.scale.traces_xla((stage, rows, precision)):
                self._launches(step, f"{cell(stage, rows)}, XLA", seconds)


if __name__ == "__main__":
    main()
