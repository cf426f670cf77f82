"""`run_fn` of the stage that exports: training knows nothing of serving, and this is where both meet."""

from typing import Any

from components.trainer import run_fn as trainer
from serving.warmup import write_warm_up


def grpo_run_fn(fn_args: Any) -> None:
    """Train and export as `components.trainer.run_fn.grpo_run_fn` does, and add TF Serving's warm-up requests to the
    export.

    They are part of the model from the start: whoever evaluates, checks, copies or hashes it sees the same files.
    """
    if trainer.grpo_run_fn(fn_args):
        write_warm_up(fn_args.serving_model_dir)
