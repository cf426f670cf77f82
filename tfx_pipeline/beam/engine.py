"""Makes an engine ready for a run, and ends its jobs when the run is stopped."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from tfx_pipeline.beam.arguments import beam_arguments, prism
from tfx_pipeline.beam.pool import LOOPBACK, pools_on
from tfx_pipeline.beam_settings import BeamEngine
from tfx_pipeline.sources import SettingsError


@contextlib.contextmanager
def ready(engine: BeamEngine, run_dir: str, log_dir: str) -> Iterator[list[str]]:
    """Look whether an engine can run the job, and cancel its jobs where the context is interrupted.

    Args:
        engine: its settings.
        run_dir: of the run, to be seen by workers.
        log_dir: of the log, to be seen by workers.

    Yields:
        Beam's arguments.

    Raises:
        SettingsError: where the engine does not answer, or its workers do not see a folder.
    """
    arguments = beam_arguments(engine)
    if engine.runner == "local":
        yield arguments
        return
    from tfx_pipeline.beam import probe

    if engine.runner == "dataflow":
        probe.require_cloud(arguments, {"output_dir": run_dir, "log_dir": log_dir})
    elif engine.endpoint:
        probe.require_job_server(engine.endpoint)
    elif not prism().exists():
        raise SettingsError(
            f"`beam.runner` can be prism once it was built: `make engine` does so. Received: prism, without {prism()}."
        )
    with pools_on(LOOPBACK), jobs_end_with_the_run():
        if engine.runner != "dataflow" and engine.chosen_workers != "loopback":
            probe.require_folders(arguments, probe.folders_of(arguments, run_dir), log_dir)
        yield arguments


@contextlib.contextmanager
def jobs_end_with_the_run() -> Iterator[None]:
    """Cancel the job that is waited for where Ctrl-C or SIGTERM stops the context.

    An engine goes on with a job whose submitter went away. The KeyboardInterrupt says what became of the job.
    """
    run, terminate = beam.Pipeline.run, signal.getsignal(signal.SIGTERM)

    def guarded(pipeline: beam.Pipeline, *args: Any, **options: Any) -> Any:
        result = run(pipeline, *args, **options)
        result.wait_until_finish = _cancelling(result)
        return result

    beam.Pipeline.run = guarded
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        beam.Pipeline.run = run
        signal.signal(signal.SIGTERM, terminate)


def _cancelling(result: Any) -> Any:
    wait = result.wait_until_finish

    def waiting(*args: Any, **options: Any) -> Any:
        try:
            return wait(*args, **options)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_cancel(result)) from None

    return waiting


def _cancel(result: Any) -> str:
    """Cancel a job; says what became of it."""
    job = getattr(result, "_job_id", None) or result.job_id()
    try:
        result.cancel()
    except Exception:  # the engine may have ended with the same Ctrl-C, or be out of reach
        logging.exception("The job %s could not be cancelled.", job)
        return f"The Beam job {job} could not be cancelled. If the engine still runs, it goes on: cancel it there."
    return f"The Beam job {job} was cancelled."
