"""On which device, or on how many devices and machines, a stage trains."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributionSettings:
    """How both training stages are distributed.

    Attributes:
        strategy: `none` trains on one device, `mirrored` on all GPUs of one machine, `multi_worker` on several
            machines, each of which runs `tfx_pipeline.kubeflow.worker` and finds the others in `TF_CONFIG`.
        device: `auto` trains on the card where there is one and the stage is large enough for it
            (`components.trainer.placement`), `cpu` beside it, `gpu` on it or not at all. A strategy takes every card
            that it finds, which leaves `auto` and `gpu`.
        wait_seconds: how long a worker waits for another one's name to be known and to answer; and how long a step of
            the pipeline waits to hear of its workers.

    Raises:
        ValueError: for another strategy or device, for `cpu` under a strategy, or no time to wait.
    """

    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    wait_seconds: int = 600
    device: Literal["auto", "cpu", "gpu"] = "auto"

    def __post_init__(self) -> None:
        if self.strategy not in ("none", "mirrored", "multi_worker"):
            raise ValueError(
                f"`distribution.strategy` should be one of none, mirrored, multi_worker. Received: {self.strategy!r}."
            )
        if self.device not in ("auto", "cpu", "gpu"):
            raise ValueError(f"`distribution.device` should be one of auto, cpu, gpu. Received: {self.device!r}.")
        if self.device == "cpu" and self.strategy != "none":
            raise ValueError(
                "`distribution.device` should be auto or gpu where `distribution.strategy` is not none. "
                f"Received: cpu, {self.strategy}."
            )
        if self.wait_seconds < 1:
            raise ValueError(f"`distribution.wait_seconds` should be at least 1. Received: {self.wait_seconds}.")
