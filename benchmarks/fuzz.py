"""A server under thousands of wrong requests: `python -m benchmarks.fuzz --requests 10000 --model_dir DIR`.

What is sent, and what a fault is, tells `tests.support.fuzz`. What was asked and how it was answered is printed by
signature, and by kind in `build/bench/fuzz.json`. Ends with 1 where there is a fault. The same seed sends the same
requests. What the server itself says is in `build/bench/fuzz_server.log`.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.result import FOLDER, report
from tests.support.fuzz import MAX_GROWTH_MB, Outcome, fuzz


def main() -> None:
    """Fuzz, report, and end with 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model_dir", type=Path, required=True, help="of numeric version directories")
    parser.add_argument("--max_growth_mb", type=float, default=MAX_GROWTH_MB)
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    outcome = fuzz(args.model_dir, args.requests, args.seed, args.max_growth_mb, FOLDER / "fuzz_server.log")
    by_signature, by_kind = (_table(outcome, which) for which in (0, 1))
    detail = {
        "requests": sum(outcome.answers.values()),
        "seed": args.seed,
        "start_mb": outcome.start_mb,
        "peak_mb": outcome.peak_mb,
        "signatures": by_signature,
        "kinds": by_kind,
        "faults": outcome.faults,
    }
    statuses = sorted({status for _, _, status in outcome.answers})
    rows = [
        ("", *by_signature),
        *((status, *(f"{counts.get(status, 0):,}" for counts in by_signature.values())) for status in statuses),
    ]
    report("fuzz", outcome.growth_mb, "MB more at the most", f"below {args.max_growth_mb:,.0f}, no fault", detail, rows)
    for fault in outcome.faults[:20]:
        print(fault)
    if outcome.faults:
        sys.exit(f"{len(outcome.faults)} faults; all are in {FOLDER / 'fuzz.json'}.")


def _table(outcome: Outcome, which: int) -> dict[str, dict[str, int]]:
    """Counts of statuses by signature (0) or kind (1)."""
    table: dict[str, dict[str, int]] = {}
    for key, count in sorted(outcome.answers.items()):
        row = table.setdefault(key[which], {})
        row[key[2]] = row.get(key[2], 0) + count
    return table


if __name__ == "__main__":
    main()
