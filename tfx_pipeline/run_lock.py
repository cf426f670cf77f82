"""Keeps two runs out of one folder."""

import contextlib
import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tfx_pipeline.sources import SettingsError

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def only_run(run_dir: Path, started: datetime.datetime, log_file: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made where missing, that of the log file too.

    The kernel frees the lock of a process that ends, however it ends: what a killed run wrote into the file stops
    nobody.

    Args:
        run_dir: folder of all that the run writes.
        started, log_file: of this run, for whoever finds it locked.

    Raises:
        SettingsError: where another run holds the lock; it says which one. Or the folder cannot be made or written.
    """
    with contextlib.ExitStack() as stack:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            # Not opened for writing from the start: that would empty the file of the run that holds it.
            file = stack.enter_context(open(run_dir / LOCK_FILE, "a+", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise SettingsError(
                f"A run in {run_dir} is going on: {file.read()}. Wait for its end, or set "
                "LCR_SER_NAME to another name for this one."
            ) from None
        except OSError as error:
            raise SettingsError(
                f"`output_dir` should be a folder that can be written. Received: "
                f"{error.filename or run_dir}: {error.strerror}. Set LCR_SER_OUTPUT_DIR to another one."
            ) from error
        file.truncate(0)
        file.write(
            f"process {os.getpid()} on {socket.gethostname()}, started {started:%Y-%m-%d %H:%M:%S}, "
            f"full output in {log_file}"
        )
        file.flush()
        yield
