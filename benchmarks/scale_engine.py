"""The pipeline's components on a simulated log, on one engine or several: seconds, and peak memory by process.

    python -m benchmarks.scale_engine --events 1e6 --engines local "two workers" prism --until Evaluator

The trainings are cut short: what is measured is Beam's part. A run ends after the component that is named.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.result import report
from components.example_gen.file_report import FileReport
from components.example_gen.readers import READERS
from components.example_gen.settings import LogSettings
from components.example_gen.shards import deal, number_of_shards
from components.example_gen.spans import find_logs
from synthetic_logs.simulator import SimulatorSettings, simulate

POLL = 0.1
ENGINES = {
    "local": {},
    "two workers": {
        "LCR_SER_BEAM__ARGS": json.dumps(["--direct_running_mode=multi_processing", "--direct_num_workers=2"])
    },
    "prism": {"LCR_SER_BEAM__RUNNER": "prism"},
}
SHORT = {
    "LCR_SER_PROFILE": "own",
    "LCR_SER_SUPERVISED__MAX_EPOCHS": "1",
    "LCR_SER_SUPERVISED__MAX_EVAL_REQUESTS": "1000",
    "LCR_SER_GRPO__MAX_STEPS": "0",
    "LCR_SER_EVALUATION__MIN_NDCG_5": "0",
    "LCR_SER_LOGS__MAX_BAD_SHARE": "1",
    "LCR_SER_DATA_CHECK__MAX_BAD_SHARE": "1",
}


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--until", default="Evaluator", help="the last component that is measured")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        counts = simulate(log, args.events, SimulatorSettings())
        shuffled = shuffled_bytes(str(log))
        found = {engine: run_until(args.until, log, Path(folder, engine), engine) for engine in args.engines}
    head = ("component", *(f"{engine}, {unit}" for engine in found for unit in ("s", "peak GiB by process")))
    names = list(dict.fromkeys(name for run in found.values() for name in run))
    rows = [
        head,
        *((name, *(text for run in found.values() for text in _shown(run.get(name)))) for name in names),
    ]
    events = counts.rec_rows + counts.search_rows
    seconds = sum(part["seconds"] for part in list(found.values())[0].values())
    detail = {"events": events, "users": counts.users, "shuffled_bytes": shuffled, "runs": found}
    report("scale_engine", events / seconds, f"events a second, {args.engines[0]}", "linear", detail, rows)
    sys.stdout.write(f"{events:,} events of {counts.users:,} users; ExampleGen shuffles {shuffled:,} bytes of rows\n")


def _shown(part: dict[str, Any] | None) -> tuple[str, str]:
    if part is None:
        return "", ""
    peaks = ", ".join(f"{name} {peak:.2f}" for name, peak in sorted(part["peaks"].items()))
    return f"{part['seconds']:.1f}", peaks


def shuffled_bytes(log: str) -> int:
    """Bytes of the packed rows that go from the reading step to the shards of users."""
    settings = LogSettings(log_dir=log, words_per_search=8)
    files = [file for _, found in find_logs(settings) for file in found]
    shards, total = number_of_shards(files, settings.shard_bytes), 0
    for file in files:
        for batch in READERS[settings.source].read(file, settings, FileReport(file.table, file.name)):
            total += sum(len(part) for events in batch if events.height for _, part in deal(events, "user", shards))
    return total


def run_until(last: str, log: Path, output: Path, engine: str) -> dict[str, dict[str, Any]]:
    """Run the pipeline until a component has ended: its seconds, and the peak of each kind of process, by component."""
    variables = {"LCR_SER_LOG_DIR": str(log), "LCR_SER_OUTPUT_DIR": str(output), **SHORT, **ENGINES[engine]}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("tfx")), "run", "create", "--pipeline_path", "tfx_pipeline/"],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    peaks: dict[str, float] = {}
    watch = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watch.start()
    found: dict[str, dict[str, Any]] = {}
    for name, seconds in _components(process):
        found[name] = {"seconds": seconds, "peaks": dict(peaks)}
        peaks.clear()
        if name == last:
            break
    process.terminate()
    process.wait()
    if last not in found:
        raise RuntimeError(f"The run on {engine} should reach {last}. It ended after: {list(found)}.")
    return found


def _components(process: subprocess.Popen[str]) -> Iterator[tuple[str, float]]:
    for line in process.stdout or ():
        words = line.split()
        if line.startswith("  ") and len(words) == 3 and words[2] == "s":
            yield words[0], float(words[1])
        else:
            sys.stderr.write(line)


def _watch(process: subprocess.Popen[str], peaks: dict[str, float]) -> None:
    while process.poll() is None:
        now: dict[str, int] = {}
        try:
            root = psutil.Process(process.pid)
            now["driver"] = root.memory_info().rss
            for child in root.children(recursive=True):
                kind = "Prism" if child.name().startswith("prism") else "workers"
                now[kind] = now.get(kind, 0) + child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        for kind, size in now.items():
            peaks[kind] = max(peaks.get(kind, 0), size / 2**30)
        time.sleep(POLL)


if __name__ == "__main__":
    main()
