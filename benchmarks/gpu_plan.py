"""What `benchmarks.gpu` measures, at which sizes, in which of its processes, and how long each may take."""

import dataclasses
from typing import Any

from benchmarks.sizes import SHAPE
from model.config import LcrSerConfig

SUPERVISED, GRPO, EVALUATION = "supervised", "GRPO", "evaluation"
FLOAT32, TF32, BFLOAT16 = "float32", "tf32", "mixed_bfloat16"
POLICIES = {"float32": (TF32, FLOAT32), BFLOAT16: (BFLOAT16,)}
"""Policies of Keras, and the precisions that each is measured in: tf32 is how a GPU multiplies float32."""

CPU, XLA_FRESH, CARD, XLA_CACHED, TESTS = "cpu", "xla_fresh", "card", "xla_cached", "tests"

CORRECTNESS, THROUGHPUT, REASONING, LAUNCHES, OPERATIONS, FIRST_STEP, DEMO, MODEL_TESTS = (
    "correctness",
    "throughput",
    "reasoning",
    "launches",
    "operations",
    "first step",
    "demo log",
    "tests/model",
)
LOSS_STEPS, GROUP_STEPS = 12, 4
KS = (0, 3, 5)

LOSS_DIFFERENCE = "supervised losses: largest relative difference"
GROUP_DIFFERENCE = "GRPO losses: largest difference, of the largest loss"
NORM_DIFFERENCE = "GRPO gradient norms: largest difference, of the largest norm"
RANKS_MOVED = "ranks: share of requests that differ"
RANK_DISTANCE = "ranks: places of the farthest"
TOLERANCES = {
    LOSS_DIFFERENCE: 1e-5,
    GROUP_DIFFERENCE: 1e-3,
    NORM_DIFFERENCE: 1e-3,
    RANKS_MOVED: 0.002,
    RANK_DISTANCE: 1,
}
"""Up to rounding: with TF32 off both devices multiply in float32, and only the order of their sums differs. Candidates
that score alike to seven digits may then change places. TF32 itself is beyond the first."""

ACTIVITY = {
    "kernels": "kernels",
    "to_device": "copies to the device",
    "to_host": "copies to the host",
    "on_device": "copies and fills on the device",
    "busy_ms": "busy, ms",
    "traced_ms": "a traced step, ms",
    "busy_share": "busy share, traced",
    "busy_share_untraced": "busy share, by an untraced step's time",
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of one run.

    Attributes:
        shape: of the model.
        users: of the random log, four targets each.
        rows: of a supervised step and of an evaluation step.
        grpo_rows, trajectories, candidates: of a GRPO step; `candidates` of an evaluation too.
        requests: that are ranked for correctness, and at the least for a rate.
        reasoning_rows: of an evaluation step that compares numbers of reasoning steps.
        traced: supervised rows that are traced.
        xla: steps that are compiled with XLA, the most wanted first: stage, rows, precision.
        seconds: of wall time for a rate.
        test_files: of the model's tests.
        caps: seconds of each process and of each of its parts, at the most.
        total: seconds of the whole.
    """

    shape: LcrSerConfig
    users: int
    rows: tuple[int, ...]
    grpo_rows: int
    trajectories: int
    candidates: int
    requests: int
    reasoning_rows: int
    traced: tuple[int, ...]
    xla: tuple[tuple[str, int, str], ...]
    seconds: float
    test_files: str
    caps: dict[str, float]
    total: float

    def traces_xla(self, step: tuple[str, int, str]) -> bool:
        """Whether a step of `xla` is traced."""
        stage, rows, precision = step
        return stage == SUPERVISED and rows in self.traced and precision == TF32


_XLA = (
    (GRPO, 1024, TF32),
    (SUPERVISED, 8192, TF32),
    (SUPERVISED, 8192, BFLOAT16),
    (SUPERVISED, 1024, BFLOAT16),
    (SUPERVISED, 32_768, TF32),
    (SUPERVISED, 32_768, BFLOAT16),
    (GRPO, 1024, BFLOAT16),
    (SUPERVISED, 1024, FLOAT32),
    (SUPERVISED, 8192, FLOAT32),
    (SUPERVISED, 32_768, FLOAT32),
    (GRPO, 1024, FLOAT32),
)

FULL = Scale(
    shape=SHAPE,
    users=8192,
    rows=(1024, 8192, 32_768),
    grpo_rows=1024,
    trajectories=8,
    candidates=100,
    requests=1024,
    reasoning_rows=4096,
    traced=(1024, 8192),
    xla=_XLA,
    seconds=1.0,
    test_files="tests/model",
    caps={
        CPU: 120,
        XLA_FRESH: 130,
        CARD: 300,
        XLA_CACHED: 150,
        TESTS: 600,
        CORRECTNESS: 60,
        OPERATIONS: 60,
        FIRST_STEP: 110,
        THROUGHPUT: 140,
        REASONING: 20,
        DEMO: 80,
    },
    total=470,
)

SMALL = Scale(
    shape=dataclasses.replace(
        SHAPE,
        num_users=200,
        num_items=200,
        num_words=50,
        dim=8,
        rec_length=4,
        search_length=4,
        words_per_search=3,
        items_per_search=2,
        reasoning_steps=1,
        mlp_units=(8,),
    ),
    users=16,
    rows=(8, 16),
    grpo_rows=8,
    trajectories=3,
    candidates=10,
    requests=64,
    reasoning_rows=16,
    traced=(8,),
    xla=((GRPO, 8, FLOAT32),),
    seconds=0.05,
    test_files="tests/model/test_losses.py",
    caps=dict.fromkeys(FULL.caps, 300),
    total=900,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        process: that measures it.
        part: of the benchmark.
        what: it is.
        unit: of it.
    """

    process: str
    part: str
    what: str
    unit: str


def rows_of(scale: Scale) -> list[Row]:
    """All figures of a run, in the order of its table."""
    found = [Row(CARD, CORRECTNESS, what, "") for what in TOLERANCES]
    for rows in scale.rows:
        found += [Row(CARD, THROUGHPUT, cell(SUPERVISED, rows, one), "rows/s") for one in (FLOAT32, TF32, BFLOAT16)]
    found += [Row(CARD, THROUGHPUT, cell(GRPO, scale.grpo_rows, one), "rows/s") for one in (FLOAT32, TF32, BFLOAT16)]
    for rows in scale.rows:
        found += [Row(CARD, THROUGHPUT, cell(EVALUATION, rows, one), "rows/s") for one in (FLOAT32, TF32, BFLOAT16)]
    found += [Row(CARD, REASONING, f"K = {steps}, {scale.reasoning_rows:,} rows", "rows/s") for steps in KS]
    found += [Row(CARD, REASONING, f"K = {steps} over K = 0", "%") for steps in KS[1:]]
    traced = [*((CARD, cell(SUPERVISED, rows)) for rows in scale.traced), (CARD, cell(GRPO, scale.grpo_rows))]
    traced += [(CARD, cell(EVALUATION, scale.reasoning_rows)), (XLA_FRESH, f"{cell(SUPERVISED, scale.rows[0])}, XLA")]
    traced += [(XLA_CACHED, f"{cell(stage, rows)}, XLA") for stage, rows, _ in filter(scale.traces_xla, scale.xla)]
    for process, step in traced:
        found += [Row(process, LAUNCHES, f"{step}: {what}", "") for what in ACTIVITY.values()]
    found += [Row(CPU, OPERATIONS, stage, "a step") for stage in (SUPERVISED, GRPO)]
    found += [Row(CPU, OPERATIONS, f"{stage}, of these the optimizer's", "a step") for stage in (SUPERVISED, GRPO)]
    found += [Row(CARD, FIRST_STEP, "without XLA", "s"), Row(XLA_FRESH, FIRST_STEP, "with XLA", "s")]
    found += [Row(XLA_CACHED, FIRST_STEP, "with XLA and its cache", "s")]
    found += [Row(XLA_FRESH, THROUGHPUT, f"{cell(SUPERVISED, scale.rows[0], xla_precision(scale))}, XLA", "rows/s")]
    found += [Row(XLA_CACHED, THROUGHPUT, f"{cell(*one)}, XLA", "rows/s") for one in scale.xla]
    found += [Row(CARD, DEMO, f"{stage}: {what}", unit) for stage in (SUPERVISED, GRPO) for what, unit in _OF_DEMO]
    return found + [Row(TESTS, MODEL_TESTS, what, "tests") for what in ("passed", "failed", "neither")]


_OF_DEMO = (("time", "s"), ("NDCG@5 of the test split", ""))


def cell(stage: str, rows: int, precision: str = "") -> str:
    """How a step is called."""
    return f"{stage}, {rows:,} rows" + (f", {precision}" if precision else "")


def xla_precision(scale: Scale) -> str:
    """In what precision the first step with XLA is taken: what a GPU takes if nothing is said."""
    return FLOAT32 if scale is SMALL else TF32


def of_activity(activity: Any, traced_ms: float, untraced_ms: float) -> dict[str, float]:
    """Figures of `ACTIVITY` by its keys."""
    found: dict[str, float] = dataclasses.asdict(activity)
    shares = {"busy_share": activity.busy_ms / traced_ms, "busy_share_untraced": activity.busy_ms / untraced_ms}
    return {**found, "traced_ms": traced_ms, **shares}
