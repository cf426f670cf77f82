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
    """Logs `Progress` under `extra["progress"]` on the logger `lcr_ser.progress`; ask `is_due` first."""

    def __init__(self) -> None:
        self._last = 0.0

    def is_due(self, now: bool = False) -> bool:
        """Whether the last record is old enough for another one, or `now` is True."""
        return now or time.monotonic() - self._last >= MIN_SECONDS

    def report(self, progress: Progress) -> None:
        """Log."""
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
