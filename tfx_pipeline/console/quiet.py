"""Keeps a run's console for the people who watch it; everything else goes into a log file.

To be used before TensorFlow, Beam or TFX are imported: their C++ parts read the environment once.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from model.process import keep_memory

_ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # tft, tfma and tfrs need Keras 2 behind `tf.keras`; the model imports Keras 3
    "TF_CPP_MIN_LOG_LEVEL": "1",
    "GRPC_VERBOSITY": "ERROR",
}


def set_environment() -> None:
    """Set what the libraries read when they are imported, where the user has not set it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    keep_memory()
    # Line A runs on Python 3.10, which Google's clients warn about at every import.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\..*")


@contextlib.contextmanager
def output_to(log_file: Path) -> Iterator[TextIO]:
    """Send standard output, standard error and all logging of this process to a file.

    C++ libraries write to the file descriptors themselves, so these are redirected, not just `sys.stderr`.

    Args:
        log_file: appended to.

    Yields:
        The stream that still reaches the user.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(log_file, "a", buffering=1) as log, os.fdopen(os.dup(saved[0]), "w", buffering=1) as console:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        previous = root.handlers[:], root.level
        root.handlers[:], root.level = [handler], logging.INFO
        logging.captureWarnings(True)
        try:
            yield console
        finally:
            logging.captureWarnings(False)
            root.handlers[:], root.level = previous
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)


@contextlib.contextmanager
def nothing_on_stderr() -> Iterator[None]:
    """Keep what libraries say while they are imported or start up away from the user's terminal.

    Their C++ parts write to the file descriptor, and nothing in it is of use to somebody who runs a command; errors
    reach the user as exceptions.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
