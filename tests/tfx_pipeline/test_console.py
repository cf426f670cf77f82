"""The console: what people see, and where everything else goes."""

import io
import logging
import os
import subprocess
import sys
import warnings

import pytest
from rich.progress import Progress as Bar

from model.training.progress import LOGGER, Progress
from tfx_pipeline.console import quiet
from tfx_pipeline.console.console import RunConsole, _BarHandler


@pytest.mark.filterwarnings("default")
def test_everything_but_the_console_goes_into_the_log_file(tmp_path, capfd):
    log = tmp_path / "logs" / "run.log"
    with quiet.output_to(log) as stream:
        os.write(1, b"a library prints\n")
        os.write(2, b"C++ writes to the descriptor\n")
        subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)
        logging.getLogger("some.library").warning("a library logs")
        warnings.warn("a library warns", stacklevel=1)
        stream.write("for people\n")
    shown = capfd.readouterr()
    assert shown.out == "for people\n"
    assert shown.err == ""
    text = log.read_text()
    for expected in (
        "a library prints",
        "C++ writes",
        "a child prints",
        "WARNING some.library: a library logs",
        "a library warns",
    ):
        assert expected in text


def test_the_terminal_is_given_back_after_an_error(tmp_path, capfd):
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(RuntimeError), quiet.output_to(tmp_path / "run.log"):
        raise RuntimeError
    sys.stdout.write("again\n")
    sys.stdout.flush()
    assert capfd.readouterr().out == "again\n"
    assert logging.getLogger().handlers == handlers


def test_the_users_own_environment_wins(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    quiet.set_environment()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["TF_USE_LEGACY_KERAS"] == "1"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("`dim` should be at least 1."), "Error: `dim` should be at least 1."),
        (RuntimeError("LogError: broken file\nTraceback ...\n [while running 'Read']"), "Error: LogError: broken file"),
        (ValueError("wrong [bold]id[/bold] [while running 'X']"), "Error: wrong [bold]id[/bold]"),
        (KeyError(), "Error: KeyError"),
    ],
)
def test_an_error_is_one_line_and_the_file_with_the_rest(tmp_path, error, line):
    stream = io.StringIO()
    RunConsole(stream).failed(error, tmp_path / "run.log")
    assert stream.getvalue().splitlines() == [line, f"full output     {tmp_path / 'run.log'}"]


def test_no_bar_is_drawn_where_there_is_no_terminal():
    stream = io.StringIO()
    with RunConsole(stream)._bar("SupervisedTrainer"):
        LOGGER.info("step", extra={"progress": Progress("supervised", 1, 2, 0.5, "NDCG@5", None)})
    assert stream.getvalue() == ""


def test_a_bar_follows_the_training():
    bar = Bar()
    handler = _BarHandler(bar, bar.add_task("SupervisedTrainer", total=None, state=""))
    record = logging.LogRecord("lcr_ser.progress", logging.INFO, "", 0, "", (), None)
    record.progress = Progress("supervised", 30, 120, 0.4321, "NDCG@5", 0.2)
    handler.emit(record)
    [task] = bar.tasks
    assert (task.completed, task.total) == (30, 120)
    assert task.fields["state"] == "loss 0.4321  NDCG@5 0.2000"
    handler.emit(logging.LogRecord("other", logging.INFO, "", 0, "", (), None))
    assert bar.tasks[0].completed == 30


@pytest.mark.parametrize(
    ("compiles", "state"), [(True, "compiling the first step with XLA"), (False, "tracing the first step")]
)
def test_before_the_first_step_a_bar_says_what_takes_so_long(compiles, state):
    assert Progress("supervised", 0, 120, None, "NDCG@5", 0.2, compiles).state == state
