"""Tables of the ladder's results: means over seeds, and paired tests between rungs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

METRICS = ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10")
# What each rung is compared with: the one before it, or the supervised model it starts from.
BEFORE = {"K = 0": "K = 0, no searches", "+LCR": "Base", "+TRA": "+LCR", "+TCL": "+TRA", "+RL": "+TCL"}
# What supervised reasoning adds altogether.
WHOLE = (("+TCL", "Base"), ("+TCL", "K = 0"))
CONTROLS = ("control", "control, GRPO's rate", "control, GRPO's rate and candidates")


def report(rows: Sequence[dict[str, Any]], order: Sequence[str]) -> str:
    """Markdown: metrics as mean ± standard deviation over seeds, and differences of NDCG@5 on the same seeds."""
    by_rung = {rung: {row["seed"]: row for row in rows if row["rung"] == rung} for rung in order}
    lines = ["| | seeds | " + " | ".join(METRICS) + " |", "|---" * (2 + len(METRICS)) + "|"]
    for rung, runs in by_rung.items():
        if runs:
            values = [_spread([row[metric] for row in runs.values()]) for metric in METRICS]
            lines.append(f"| {rung} | {len(runs)} | " + " | ".join(values) + " |")
    lines += ["", "| NDCG@5 | pairs | mean difference | t | p |", "|---|---|---|---|---|"]
    pairs = [
        *BEFORE.items(),
        *WHOLE,
        *((control, "+TCL") for control in CONTROLS),
        *(("+RL", control) for control in CONTROLS),
    ]
    lines += [line for one, other in pairs for line in _paired(one, other, by_rung)]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{deviation}"


def _paired(one: str, other: str, by_rung: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    seeds = sorted(set(by_rung[one]) & set(by_rung[other]))
    if len(seeds) < 2:
        return []
    ours, theirs = ([by_rung[rung][seed]["NDCG@5"] for seed in seeds] for rung in (one, other))
    head = f"| {one} against {other} | {len(seeds)} | {np.mean(np.subtract(ours, theirs)):+.4f}"
    if ours == theirs:  # a further training that never beat its start
        return [f"{head} | | |"]
    test = stats.ttest_rel(ours, theirs)
    return [f"{head} | {test.statistic:.2f} | {test.pvalue:.3f} |"]
