"""On how many devices and machines a stage trains."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributionSettings:
    """How both training stages are distributed.

    Attributes:
        strategy: `none` trains on one device, `mirrored` on all GPUs of one machine, `multi_worker` on several
            machines, each of which runs `tfx_pipeline.kubeflow.worker` and finds the others in `TF_CONFIG`.
        wait_seconds: how long a worker waits for another one's name to be known and to answer; and how long a step of
            the pipeline waits to hear of its workers.

    Raises:
        ValueError: for another strategy, or no time to wait.
    """

    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    wait_seconds: int = 600

    def __post_init__(self) -> None:
        if self.strategy not in ("none", "mirrored", "multi_worker"):
            raise ValueError(
                f"`distribution.strategy` should be one of none, mirrored, multi_worker. Received: {self.strategy!r}."
            )
        if self.wait_seconds < 1:
            raise ValueError(f"`distribution.wait_seconds` should be at least 1. Received: {self.wait_seconds}.")
