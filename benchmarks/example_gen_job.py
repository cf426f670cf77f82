"""One run of LogExampleGen's executor on a directory, as the scale benchmark starts it.

python -m benchmarks.example_gen_job LOG_DIR OUT_DIR WORKERS
"""

import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx.types import standard_artifacts

from components.common.artifacts import Candidates, LogReport
from components.example_gen.executor import Executor
from components.example_gen.settings import LogSettings

SETTINGS: dict[str, Any] = {"words_per_search": 8, "max_bad_share": 1.0}


def main(log: str, out: str, workers: str) -> None:
    """Run with the defaults of leave-one-out."""
    mode = "in_memory" if workers == "1" else "multi_processing"
    arguments = [
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={mode}",
        f"--direct_num_workers={workers}",
    ]
    outputs = {}
    kinds = {"examples": standard_artifacts.Examples, "log_report": LogReport, "candidates": Candidates}
    for name, kind in kinds.items():
        artifact = kind()
        artifact.uri = str(Path(out) / name)
        outputs[name] = [artifact]
    context = Executor.Context(tmp_dir=out, make_beam_pipeline_fn=lambda: beam.Pipeline(argv=arguments))
    Executor(context).Do(
        {},
        outputs,
        {"settings": LogSettings(log_dir=log, **SETTINGS).to_json(), "input_fingerprint": "", "code_hash": ""},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
