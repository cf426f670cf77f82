"""What a metric must reach in a slice."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """What a metric must reach in a slice.

    Attributes:
        min: its least value.
        max_drop: how much lower than the last pushed model's it may be.
        significance: the metric may not be lower than the last pushed model's with a p-value below this.
    """

    min: float | None = None
    max_drop: float | None = None
    significance: float | None = None

    def __post_init__(self) -> None:
        if self.min is not None and not 0 <= self.min <= 1:
            raise ValueError(f"`min` should be from 0 to 1, as metrics are. Received: {self.min}.")
        if self.significance is not None and not 0 < self.significance < 1:
            raise ValueError(f"`significance` should lie between 0 and 1. Received: {self.significance}.")
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            raise ValueError(f"`max_drop` should be from 0 to 1. Received: {self.max_drop}.")
