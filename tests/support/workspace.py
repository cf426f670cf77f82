"""A folder to run the installed `tfx` command in, and how to read what it prints."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = (
    "LogExampleGen",
    "StatisticsGen",
    "CuratedSchema",
    "ExampleValidator",
    "DataCheck",
    "Transform",
    "SupervisedTrainer",
    "GrpoTrainer",
    "BaselineFinder",
    "Evaluator",
    "RankingCheck",
    "ServableCheck",
    "Pusher",
    "StatisticsKeeper",
    "RunReport",
)
SMALL = {
    "LCR_SER_MODEL__DIM": "16",
    "LCR_SER_MODEL__REASONING_STEPS": "1",
    "LCR_SER_MODEL__REC_LENGTH": "10",
    "LCR_SER_MODEL__SEARCH_LENGTH": "6",
    "LCR_SER_MODEL__WORDS_PER_SEARCH": "4",
    "LCR_SER_MODEL__ITEMS_PER_SEARCH": "2",
    "LCR_SER_SUPERVISED__BATCH_SIZE": "256",
    "LCR_SER_SUPERVISED__MAX_EPOCHS": "4",
    "LCR_SER_GRPO__BATCH_SIZE": "32",
    "LCR_SER_GRPO__NUM_TRAJECTORIES": "4",
    "LCR_SER_GRPO__MAX_STEPS": "4",
    "LCR_SER_GRPO__EVAL_EVERY": "2",
}


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A folder with a log, outputs and a home of its own, and the settings of runs in it."""

    folder: Path
    log_dir: Path
    name: str = "e2e"

    @property
    def run_dir(self) -> Path:
        return self.folder / "output" / self.name

    @property
    def versions(self) -> list[Path]:
        return sorted((self.run_dir / "serving" / self.name).glob("[0-9]*"))

    def environment(self, **overrides: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LCR_SER_")}
        variables = {
            **kept,
            **SMALL,
            "HOME": str(self.folder / "home"),
            "LCR_SER_LOG_DIR": str(self.log_dir),
            "LCR_SER_OUTPUT_DIR": str(self.folder / "output"),
            "LCR_SER_NAME": self.name,
            **overrides,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def command(self, *arguments: str, cwd: Path | None = None, **overrides: str | None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(Path(sys.executable).with_name("tfx")), *arguments],
            cwd=cwd or self.folder,
            check=False,
            capture_output=True,
            text=True,
            env=self.environment(**overrides),
            timeout=800,
        )

    def start(self, *arguments: str, **overrides: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("tfx")), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(**overrides),
        )


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """What a run left, read before another run in the same workspace can change it."""

    stdout: str
    stderr: str
    version: Path
    figures: dict


def lines_by_component(output: str) -> dict[str, str]:
    """Time or "cached", by component, as the console printed it."""
    rows = (line.split(maxsplit=1) for line in output.splitlines() if line.startswith("  "))
    return {row[0]: row[1] for row in rows if row[0] in COMPONENTS}
