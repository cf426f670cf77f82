"""What DataCheck compares, and how far apart it may be."""

import dataclasses

from components.common.settings import ComponentSettings
from model import contract

L_INFINITY = "infinity_norm"
JENSEN_SHANNON = "jensen_shannon"
LENGTH = ".length"
"""After the name of a feature: the number of its values in an Example instead of the values."""

_STRINGS = (contract.USER, contract.REC_ITEMS, contract.SEARCH_WORDS, contract.SEARCH_ITEMS, contract.CANDIDATES)

Comparators = dict[str, dict[str, float]]
"""For each feature of a request (or its length), thresholds by measure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataCheckSettings(ComponentSettings):
    """Settings of DataCheck.

    Attributes:
        drift: thresholds between the last pushed run's test split and this one's.
        skew: thresholds between this run's test split and the requests that were served.
        serving_requests: pattern of TFRecord files, `.gz` or not, of request Examples as `serving_default` takes them;
            None checks no skew.
        max_bad_share: of the rows of a file that could not be read. ExampleGen has a limit of that name too, above
            which it does not go on.

    Raises:
        ValueError: for a feature that no request has, a measure that its kind does not have, or a threshold out of
            range.
    """

    drift: Comparators = dataclasses.field(default_factory=dict)
    skew: Comparators = dataclasses.field(default_factory=dict)
    serving_requests: str | None = None
    max_bad_share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_share <= 1:
            raise ValueError(f"`data_check.max_bad_share` should be from 0 to 1. Received: {self.max_bad_share}.")
        for setting in ("drift", "skew"):
            for feature, thresholds in getattr(self, setting).items():
                _require_comparable(f"data_check.{setting}", feature, thresholds)


def _require_comparable(setting: str, feature: str, thresholds: dict[str, float]) -> None:
    if feature.removesuffix(LENGTH) not in contract.REQUEST_FEATURES:
        raise ValueError(
            f"`{setting}` should name features of a request, {', '.join(contract.REQUEST_FEATURES)}, or "
            f"their {LENGTH}. Received: {feature}."
        )
    # TFDV measures the L-infinity norm of numbers as 0, whatever they are.
    measures = (L_INFINITY, JENSEN_SHANNON) if feature in _STRINGS else (JENSEN_SHANNON,)
    for measure, threshold in thresholds.items():
        if measure not in measures:
            raise ValueError(f"`{setting}` should measure {feature} by {' or '.join(measures)}. Received: {measure}.")
        if not 0 <= threshold <= 1:
            raise ValueError(f"`{setting}` should hold thresholds from 0 to 1. Received: {feature} {threshold}.")
