"""What ServableCheck asks of a SavedModel."""

import dataclasses
import math

from components.common.settings import ComponentSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServableCheckSettings(ComponentSettings):
    """Settings of ServableCheck.

    Attributes:
        requests: of the test split, sent through every signature.
        tolerance: how far a score may be from the one computed apart, in units of the larger of 1 and that score.
        max_load_seconds: from the start of loading to the model being loaded, imports excluded.
        max_megabytes: of all files, 10^6 bytes each.
        max_child_seconds: the process that loads and asks the model is ended after so long.

    Raises:
        ValueError: for a setting that is not above 0.
    """

    requests: int = 64
    tolerance: float = 1e-5
    max_load_seconds: float = 120.0
    max_megabytes: float = 10_000.0
    max_child_seconds: float = 600.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ValueError(f"`servable_check.{field.name}` should be above 0. Received: {value}.")
