"""Registers a runner file with the local engine of the TFX command line, and runs it."""

from collections.abc import MutableMapping
from typing import Any

import click
from tfx.orchestration.local import local_dag_runner
from tfx.tools.cli import labels
from tfx.tools.cli.handler import dag_runner_patcher, local_handler


class _RegisteringRunner(dag_runner_patcher.DagRunnerPatcher):
    """Lets `LocalDagRunner.run` write down the pipeline it is given before it runs it."""

    def __init__(self, handler: local_handler.LocalHandler, expected_name: str | None) -> None:
        super().__init__(call_real_run=True)
        self._handler = handler
        self._expected_name = expected_name

    def get_runner_class(self) -> type[local_dag_runner.LocalDagRunner]:
        return local_dag_runner.LocalDagRunner

    def _before_run(self, runner: Any, pipeline: Any, context: MutableMapping[str, Any]) -> None:
        name = context[self.PIPELINE_NAME]
        if self._expected_name not in (None, name):
            raise click.UsageError(
                f"The runner file defines the pipeline {name!r}. Received: --pipeline_name {self._expected_name}."
            )
        self._handler._save_pipeline({labels.PIPELINE_NAME: name, labels.PIPELINE_ROOT: context[self.PIPELINE_ROOT]})


def register_and_run(runner_file: str, expected_name: str | None) -> None:
    """Execute a runner file once: its pipeline is registered under its name, as `tfx pipeline create` does, and run.

    Args:
        runner_file: absolute path of a file that calls `LocalDagRunner().run(...)` when executed.
        expected_name: name that the pipeline must have; None takes any.

    Raises:
        SystemExit: with the runner's own exit status, where it is not 0.
    """
    handler = local_handler.LocalHandler({labels.ENGINE_FLAG: "local", labels.PIPELINE_DSL_PATH: runner_file})
    handler.execute_dsl(_RegisteringRunner(handler, expected_name))
