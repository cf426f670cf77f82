"""All that is to be measured on a GPU, in one command: `bash benchmarks/gpu.sh [--small] [--demo FOLDER]`.

Starts a few processes (`gpu_parts.py`), each with a budget of time, prints what they find as they find it, and writes
`gpu.json` and a table. What passes its budget is cut off and told as left out. The status is 1 where a value of the GPU
is not the CPU's, or where something failed; docs/experiments/gpu.md says what each row means.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_plan import (
    CARD,
    CORRECTNESS,
    CPU,
    FULL,
    MODEL_TESTS,
    SMALL,
    TESTS,
    TOLERANCES,
    XLA_CACHED,
    XLA_FRESH,
    Row,
    Scale,
    rows_of,
)
from benchmarks.result import FOLDER, report
from model.process import cache_flags

ROOT = Path(__file__).resolve().parents[1]
GRACE = 8.0
"""Seconds that a process has beyond its budget, to end by itself."""
NO_CARD_STATUS = 3
_OUTCOME = re.compile(r"^(tests/\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")


def main() -> None:
    """Measures and reports."""
    print(f"device: {device()}", flush=True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny sizes, on a CPU too")
    parser.add_argument("--demo", type=Path, help="a log that `python -m benchmarks.gpu_demo` packed")
    args = parser.parse_args()
    out = Path(os.environ.get("OUT") or FOLDER).resolve()
    run = Run(SMALL if args.small else FULL, out / "gpu", args)
    status = run.measure()
    run.report(out)
    raise SystemExit(status)


def device() -> str:
    """The card and its driver as NVIDIA's tool tells them, or the processor."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip().replace("\n", "; ")
    return f"no GPU; {os.cpu_count()} cores, {platform.machine()}"


class Run:
    """One run of all processes.

    Args:
        scale: sizes and budgets.
        folder: of the journals, of the processes' output and of what they leave for each other; emptied first.
        args: of the command.
    """

    def __init__(self, scale: Scale, folder: Path, args: argparse.Namespace) -> None:
        self._scale, self._folder, self._args = scale, folder, args
        self._began = time.monotonic()
        self._rows = {(row.part, row.what): row for row in rows_of(scale)}
        self._values: dict[tuple[str, str], dict[str, Any]] = {}
        self._reasons: dict[tuple[str, str, str], str] = {}
        self._machines: dict[str, Any] = {}
        self._read: dict[str, int] = {}
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "xla_cache").mkdir(parents=True)

    def measure(self) -> int:
        """Run everything.

        Returns:
            The command's status.

        Raises:
            SystemExit: if there is no GPU, and the sizes are not small.
        """
        flags = os.environ.get("TF_XLA_FLAGS", ""), cache_flags(self._folder / "xla_cache")
        xla = {"TF_XLA_FLAGS": " ".join(flags)}
        # The CPU's values are made while XLA compiles, which takes as long and waits for nobody.
        statuses = self._run({CPU: {"CUDA_VISIBLE_DEVICES": ""}, XLA_FRESH: xla})
        if NO_CARD_STATUS in statuses.values():
            raise SystemExit("TensorFlow finds no GPU: `--small` runs all of it on a CPU, at tiny sizes.")
        if statuses.get(XLA_FRESH):
            xla = {}
            statuses |= self._run({XLA_FRESH: xla})  # as it may be the cache that XLA cannot write
        statuses |= self._run({CARD: {}})
        statuses |= self._run({XLA_CACHED: xla})
        self._test()
        wrong = [what for what, tolerance in TOLERANCES.items() if self._value(CORRECTNESS, what) > tolerance]
        for what in wrong:
            print(f"WRONG: {what} is {self._value(CORRECTNESS, what):.3g}, and may be {TOLERANCES[what]:.3g}")
        return 1 if wrong or any(statuses.values()) else 0

    def report(self, out: Path) -> None:
        """Print the table and write the file."""
        measured, missing = [], []
        table = [("part", "what", "value", "unit", "may be")]
        for key, row in self._rows.items():
            about = {"part": row.part, "what": row.what, "unit": row.unit}
            if key in self._values:
                measured.append({**about, **self._values[key]})
                limit = TOLERANCES.get(row.what)
                bound = "" if limit is None else f"{limit:.3g}"
                table.append((row.part, row.what, number(self._values[key]["value"]), row.unit, bound))
            else:
                missing.append({**about, "left_out": self._reason(row)})
                table.append((row.part, row.what, "left out", self._reason(row), ""))
        detail = {
            "device": device(),
            "date": time.strftime("%Y-%m-%d"),
            "commit": commit(),
            "small": self._args.small,
            "seconds": round(time.monotonic() - self._began, 1),
            "machines": self._machines,
            "rows": measured,
            "left_out": missing,
        }
        total = f"of {len(self._rows)} rows measured"
        report("gpu", len(measured), total, "all, and the CPU's values", detail, table, folder=out)

    def _value(self, part: str, what: str) -> float:
        return float(self._values.get((part, what), {}).get("value", 0.0))

    def _reason(self, row: Row) -> str:
        for what in (row.what, row.what.rsplit(":", 1)[0], ""):
            reason = self._reasons.get((row.process, row.part, what))
            if reason:
                return reason
        return "its process ended before"

    def _left(self) -> float:
        return self._scale.total - (time.monotonic() - self._began)

    def _run(self, processes: dict[str, dict[str, str]]) -> dict[str, int]:
        """Run some processes side by side, with these additions to their environment, and print what they find.

        Returns:
            Their statuses by name; 0 for one that was cut off.
        """
        seconds = {name: min(self._scale.caps[name], self._left() - GRACE) for name in processes}
        children = {}
        for name, environment in processes.items():
            if seconds[name] < GRACE:
                print(f"left out: {name}: no time left for it", flush=True)
                continue
            command = [sys.executable, "-m", "benchmarks.gpu_parts", name, str(self._folder)]
            command += ["--seconds", f"{seconds[name]:.0f}"]
            command += ["--small"] if self._args.small else []
            command += ["--demo", str(self._args.demo.resolve())] if self._args.demo else []
            children[name] = self._start(name, command, environment)
        began, statuses = time.monotonic(), dict.fromkeys(children, 0)
        running = dict(children)
        while running:
            time.sleep(0.5)
            for name, child in list(running.items()):
                self._tell(name)
                over = time.monotonic() - began > seconds[name] + GRACE or NO_CARD_STATUS in statuses.values()
                if child.poll() is None and not over:
                    continue
                del running[name]
                if child.poll() is None:
                    child.kill()
                    child.wait()
                    print(f"left out: the rest of {name}: it was cut off", flush=True)
                else:
                    statuses[name] = child.returncode
                    self._ended(name, child.returncode)
                self._tell(name)
        return statuses

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        print(f"[{time.monotonic() - self._began:4.0f} s] {name}", flush=True)
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, **environment}
            )

    def _ended(self, name: str, status: int) -> None:
        if status not in (0, NO_CARD_STATUS):
            print(f"{name} ended with {status}; the end of its output:")
            print("\n".join((self._folder / f"{name}.log").read_text(errors="replace").splitlines()[-20:]), flush=True)

    def _tell(self, name: str) -> None:
        """Print the figures that a process has written since the last time."""
        file = self._folder / f"{name}.jsonl"
        # A line that is being written has no end yet.
        lines = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        for line in lines[self._read.get(name, 0) :]:
            found = json.loads(line)
            if "machine" in found:
                self._machines[name] = found["machine"]
            elif "left_out" in found:
                self._reasons[name, found["part"], found["what"]] = found["left_out"]
                what = f", {found['what']}" if found["what"] else ""
                print(f"left out: {found['part']}{what}: {found['left_out']}", flush=True)
            else:
                key = found.pop("part"), found.pop("what")
                self._values[key] = found
                print(f"  {key[0]}: {key[1]}: {number(found['value'])} {self._rows[key].unit}", flush=True)
        self._read[name] = len(lines)

    def _test(self) -> None:
        """The tests of `tests/model`, those that are long left out, in the time that is left."""
        if importlib.util.find_spec("pytest") is None:
            self._leave_tests("there is no pytest")
            return
        seconds = min(self._scale.caps[TESTS], self._left())
        if seconds < 3 * GRACE:
            self._leave_tests("no time left for them")
            return
        # The repository's own settings ask for plugins that may not be there.
        ini = self._folder / "pytest.ini"
        ini.write_text(f"[pytest]\npythonpath = {ROOT}\nmarkers =\n    long: long\n    slow: slow\n")
        command = [sys.executable, "-m", "pytest", self._scale.test_files, "-m", "not long", "-v", "--tb=line"]
        command += ["-c", str(ini), "--rootdir", str(ROOT), "--confcutdir", "tests/model", "-p", "no:cacheprovider"]
        command += ["--continue-on-collection-errors"]
        child = self._start(TESTS, command, {})
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            print(f"left out: the rest of the tests: their {seconds:.0f} s were over", flush=True)
        matches = map(_OUTCOME.match, (self._folder / f"{TESTS}.log").read_text(errors="replace").splitlines())
        outcomes = {match[1]: match[2] for match in matches if match}
        of = {name: [test for test, outcome in outcomes.items() if outcome == name] for name in ("PASSED", "FAILED")}
        neither = len(outcomes) - len(of["PASSED"]) - len(of["FAILED"])
        self._values[MODEL_TESTS, "passed"] = {"value": len(of["PASSED"])}
        self._values[MODEL_TESTS, "failed"] = {"value": len(of["FAILED"]), "tests": of["FAILED"]}
        self._values[MODEL_TESTS, "neither"] = {"value": neither}
        for test in of["FAILED"]:
            print(f"  failed: {test}")

    def _leave_tests(self, reason: str) -> None:
        self._reasons[TESTS, MODEL_TESTS, ""] = reason
        print(f"left out: {MODEL_TESTS}: {reason}", flush=True)


def number(value: float) -> str:
    """As a table shows it: whole from 100 on, else with four digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def commit() -> str:
    """Of the repository; empty where there is none."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main()
