"""Progress of a training, as log records that a console can draw."""

import dataclasses
import logging
import time

LOGGER = logging.getLogger("lcr_ser.progress")
MIN_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        stage: `supervised` or `grpo`.
        step, total_steps: steps done, and steps at the most.
        loss: of the last step.
        metric_name, metric: the latest evaluation; None before the first.
    """

    stage: str
    step: int
    total_steps: int
    loss: float
    metric_name: str
    metric: float | None


class ProgressReporter:
    """Logs `Progress` under `extra["progress"]` on the logger `lcr_ser.progress`, a few times a second at most."""

    def __init__(self) -> None:
        self._last = 0.0

    def report(self, progress: Progress, now: bool = False) -> None:
        """Log, unless the last record is too fresh and `now` is False."""
        if not now and time.monotonic() - self._last < MIN_SECONDS:
            return
        self._last = time.monotonic()
        LOGGER.info(
            "%s: step %d of %d, loss %.4f, %s %s",
            progress.stage,
            progress.step,
            progress.total_steps,
            progress.loss,
            progress.metric_name,
            "-" if progress.metric is None else f"{progress.metric:.4f}",
            extra={"progress": progress},
        )
