"""ExampleGen on simulated logs of several sizes, on one core and on two, beside a polars script that does the same job.

    python -m benchmarks.scale --sizes 1e5 1e6 1e7

Each run is a process of its own, imports included: wall time, and the largest sum of the memory of it and of its
workers.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.result import report
from synthetic_logs.simulator import SimulatorSettings, simulate

POLL = 0.05


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    parser.add_argument("--threads", type=int, default=0, help="not looked at: one core and two are both measured")
    parser.add_argument("--rounds", type=int, default=1, help="the fastest run of so many counts")
    args = parser.parse_args()
    found = {f"{size:.0e}": measure_size(size, args.rounds) for size in args.sizes}
    rows = [("events", "job", "seconds", "events a second", "peak memory, GiB", "bytes of Examples an event")]
    for entry in found.values():
        for name, run in entry["runs"].items():
            rows.append(
                (
                    f"{entry['events']:,}" if name == "one core" else "",
                    name,
                    f"{run['seconds']:.1f}",
                    f"{entry['events'] / run['seconds']:,.0f}",
                    f"{run['peak_gib']:.2f}",
                    f"{run['example_bytes'] / entry['events']:.2f}",
                )
            )
        rows.append(("", "raw CSV, gzip", "", "", "", f"{entry['csv_gz_bytes'] / entry['events']:.2f}"))
    largest = list(found.values())[-1]
    report(
        "scale",
        largest["events"] / largest["runs"]["one core"]["seconds"],
        "events a second on one core",
        "less memory than polars at 1e7, at most twice its time at 1e6",
        found,
        rows,
    )


def measure_size(events: float, rounds: int) -> dict[str, Any]:
    """Simulate a log and run every job on it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        counts = simulate(log, events, SimulatorSettings())
        rows = counts.rec_rows + counts.search_rows
        jobs = {
            "one core": ("benchmarks.example_gen_job", "1", 1),
            "two cores": ("benchmarks.example_gen_job", "2", 2),
            "polars, one core": ("benchmarks.polars_job", None, 1),
            "polars, two cores": ("benchmarks.polars_job", None, 2),
        }
        runs = {}
        for name, (module, argument, cores) in jobs.items():
            command = [module, str(log), f"{folder}/out", *([argument] if argument else [])]
            timed = [run_job(command, cores, f"{folder}/out") for _ in range(rounds)]
            runs[name] = min(timed, key=lambda run: run["seconds"])
        read = sum((log / f"{table}.csv.gz").stat().st_size for table in ("rec_inter", "src_inter"))
        return {"events": rows, "users": counts.users, "csv_gz_bytes": read, "runs": runs}


def run_job(arguments: list[str], cores: int, out: str) -> dict[str, float]:
    """Run a module in a process that may use so many cores."""
    shutil.rmtree(out, ignore_errors=True)
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": "1" if arguments[0].endswith("gen_job") else str(cores),
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    started, peak = time.perf_counter(), 0
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([sys.executable, "-m", *arguments], env=environment, stderr=nowhere)
    psutil.Process(process.pid).cpu_affinity(list(range(cores)))
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(POLL)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} should end with 0. Received: {process.returncode}.")
    written = sum(path.stat().st_size for path in Path(out).rglob("*.gz"))
    return {"seconds": seconds, "peak_gib": peak / 2**30, "example_bytes": written}


def memory_of(pid: int) -> int:
    """Resident bytes of a process and all that it started."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


if __name__ == "__main__":
    main()
