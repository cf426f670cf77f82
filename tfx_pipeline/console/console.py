"""What a run shows: a line a component with its time, a bar while training, a table at the end."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from model.training.progress import LOGGER
from tfx_pipeline.console.failures import real_message
from tfx_pipeline.console.plain import plain_console


class RunConsole:
    """Draws the progress of one run.

    Args:
        stream: where to draw. A bar is drawn only where it is a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.console = plain_console(file=stream, soft_wrap=True)

    def line(self, text: str) -> None:
        """Print a line."""
        self.console.print(text)

    def failed(self, error: Exception, log_file: Path) -> None:
        """Print what went wrong in one line, and where the rest is."""
        first = next((line for line in real_message(error).splitlines() if line.strip()), type(error).__name__)
        self.console.print(f"Error: {first}", style="bold red")
        self.line(f"full output     {log_file}")

    @contextlib.contextmanager
    def watching(self) -> Iterator["Executions"]:
        """Report each component that TFX launches, until the context ends.

        Yields:
            The components' executions so far, filled in while the run goes on.
        """
        from tfx.orchestration.portable import launcher

        executions = Executions()
        launch, run_executor = launcher.Launcher.launch, launcher.Launcher._run_executor
        launcher.Launcher.launch = self._reporting(launch, executions)
        launcher.Launcher._run_executor = _noting(run_executor, executions)
        try:
            yield executions
        finally:
            launcher.Launcher.launch, launcher.Launcher._run_executor = launch, run_executor

    def _reporting(self, launch: Callable[[Any], Any], executions: "Executions") -> Callable[[Any], Any]:
        def reporting(self_: Any) -> Any:
            name = self_._pipeline_node.node_info.id
            executions.current = name
            start = time.perf_counter()
            with self._bar(name):
                result = launch(self_)
            executions.ids[name] = result.execution_id
            elapsed = f"{time.perf_counter() - start:6.1f} s" if name in executions.executed else "  cached"
            self.line(f"  {name:<18}{elapsed}")
            return result

        return reporting

    @contextlib.contextmanager
    def _bar(self, name: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("  {task.description:<18}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
        )
        logger = LOGGER
        with Progress(
            *columns, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bar:
            handler = _BarHandler(bar, bar.add_task(name, total=None, state=""))
            logger.addHandler(handler)
            try:
                yield
            finally:
                logger.removeHandler(handler)


class Executions:
    """What TFX launched in a run: `ids` by component, and the names that were `executed`, not cached."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.executed: set[str] = set()
        self.current = ""


def _noting(run_executor: Callable[..., Any], executions: Executions) -> Callable[..., Any]:
    def noting(self_: Any, *args: Any, **kwargs: Any) -> Any:
        executions.executed.add(executions.current)
        return run_executor(self_, *args, **kwargs)

    return noting


class _BarHandler(logging.Handler):
    """Turns the progress records of the training loops into the state of a bar."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        super().__init__(logging.INFO)
        self._bar = bar
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        progress = getattr(record, "progress", None)
        if progress is None:
            return
        self._bar.update(self._task, completed=progress.step, total=progress.total_steps, state=progress.state)
