"""Runs the pipeline on this machine.

`tfx run create --pipeline_path tfx_pipeline/` and `tfx pipeline create --pipeline_path tfx_pipeline/local_runner.py`
both execute this file; `python tfx_pipeline/local_runner.py` does too.
"""

import datetime
import logging
import sys
from pathlib import Path

from model.process import keep_compiled
from tfx_pipeline.console import quiet
from tfx_pipeline.run_lock import only_run
from tfx_pipeline.settings import Settings, load
from tfx_pipeline.sources import SettingsError


def run(settings: Settings) -> int:
    """Run the pipeline, report on the console, and keep the full log in a file.

    Args:
        settings: of the run.

    Returns:
        Exit status: 0, or 1 after an error that the console named.

    Raises:
        SettingsError: where another run of this name is going on, or its folder cannot be written.
    """
    quiet.set_environment()
    if settings.supervised.jit_compile or settings.grpo.jit_compile:
        keep_compiled((settings.run_dir / "xla_cache").absolute())
    started = datetime.datetime.now()
    log_file = settings.run_dir / "logs" / f"{started:%Y%m%d-%H%M%S}.log"
    with only_run(settings.run_dir, started, log_file):
        return _reported(settings, log_file)


def _reported(settings: Settings, log_file: Path) -> int:
    with quiet.output_to(log_file) as stream:
        from tfx_pipeline.console.console import RunConsole

        console = RunConsole(stream)
        console.line(f"{settings.name}: log {settings.log_path}, full output in {log_file}")
        try:
            _run(settings, console)
        except KeyboardInterrupt as stop:
            console.line(f"Interrupted. {stop}".strip() + " The same command goes on from the last finished component.")
            return 1
        except Exception as error:  # the console shows one line of whatever a component raised
            logging.exception("The run failed.")
            console.failed(error, log_file)
            return 1
    return 0


def _device(settings: Settings) -> str:
    """What the run computes on, and which of its stages leave a card that is there."""
    from components.trainer import cards, placement

    stages: dict[str, placement.Stage] = {"supervised": settings.supervised, "grpo": settings.grpo}
    leaving = placement.told(settings.distribution, settings.model, stages)
    return "; ".join([cards.found(), *([leaving] if leaving and placement.cards() else [])])


def _run(settings: Settings, console: "RunConsole") -> None:  # type: ignore[name-defined]  # noqa: F821
    from components.trainer.placement import require_card

    console.line(f"device          {_device(settings)}")
    if settings.distribution.strategy != "multi_worker":  # whose workers are elsewhere
        require_card(settings.distribution)
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from tfx_pipeline.beam import engine
    from tfx_pipeline.console.summary import show_summary
    from tfx_pipeline.infra_validation import require_docker
    from tfx_pipeline.metadata_file import connection
    from tfx_pipeline.pipeline import create_pipeline

    store = connection(settings.run_dir)
    if settings.infra_validation:
        require_docker()
    if settings.demo:
        from synthetic_logs.demo import write_demo_log

        write_demo_log(settings.log_path)
    with engine.ready(settings.beam, str(settings.run_dir), settings.log_path) as beam_arguments:
        pipeline = create_pipeline(settings, store, beam_arguments)
        with console.watching() as executions:
            LocalDagRunner().run(pipeline)
    if executions.ids:  # `tfx pipeline create` executes this file without running the pipeline
        show_summary(settings, store, executions, console)


def main() -> None:
    """Run with the settings of file and environment; a wrong one ends it with a message instead of a traceback."""
    try:
        sys.exit(run(load()))
    except SettingsError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
