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
        loss: of the last step; None before the first.
        metric_name, metric: the latest evaluation; None before the first.
        compiles: whether XLA compiles the first step, which takes minutes on a card where nothing is kept of it.
    """

    stage: str
    step: int
    total_steps: int
    loss: float | None
    metric_name: str
    metric: float | None
    compiles: bool = False

    @property
    def state(self) -> str:
        """What there is to say of it, for a console."""
        if self.loss is None:
            return "compiling the first step with XLA" if self.compiles else "tracing the first step"
        metric = "" if self.metric is None else f"  {self.metric_name} {self.metric:.4f}"
        return f"loss {self.loss:.4f}{metric}"


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
        told = progress.stage, progress.step, progress.total_steps, progress.state
        LOGGER.info("%s: step %d of %d, %s", *told, extra={"progress": progress})
