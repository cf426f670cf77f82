"""What a process of `benchmarks.gpu` has measured so far: a line of JSON a figure, written as soon as it is there."""

import contextlib
import json
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class OutOfTime(BaseException):
    """A part has passed its budget. No library that catches every `Exception` holds it up."""


class Journal:
    """Writes figures and reasons of what is left out.

    Args:
        file: appended to.
        seconds: that the process may take, from now on.
    """

    def __init__(self, file: Path, seconds: float) -> None:
        self._file = file
        self._end = time.monotonic() + seconds
        self.failed = False

    def give(self, part: str, what: str, value: float, **more: Any) -> None:
        """Note a figure.

        Raises:
            FloatingPointError: if it is not finite.
        """
        if not math.isfinite(value):
            raise FloatingPointError(f"{part}: {what} should be finite. Received: {value}.")
        self.note(part=part, what=what, value=float(value), **more)

    def leave_out(self, part: str, reason: str, what: str = "") -> None:
        """Note why there is no figure; of a whole part if `what` is not given."""
        self.note(part=part, what=what, left_out=reason)

    def note(self, **content: Any) -> None:
        """Write a line."""
        with self._file.open("a") as file:
            file.write(json.dumps(content) + "\n")

    def run(self, part: str, seconds: float, work: Callable[[], None]) -> None:
        """Do a part within its budget; what fails in it is noted, and the other parts go on."""
        left = min(seconds, self._end - time.monotonic())
        if left < 1:
            self.leave_out(part, "no time left for it")
            return
        try:
            with at_most(left):
                work()
        except OutOfTime:
            self.leave_out(part, f"its {left:.0f} s were over")
        except Exception as error:  # of any kind: it is told, and the status says so
            traceback.print_exc()
            self.failed = True
            self.leave_out(part, f"failed: {type(error).__name__}: {str(error)[:300]}")


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the main thread after some seconds, or when the call of C++ ends that it is in then."""

    def stop(_number: int, _frame: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
