"""What RankingCheck measures, and what it asks of a model."""

import dataclasses
from typing import Any

from components.common.settings import ComponentSettings
from components.evaluation.names import SLICES
from components.evaluation.threshold import Threshold


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingCheckSettings(ComponentSettings):
    """Settings of RankingCheck.

    Attributes:
        metrics: `HR@k`, `NDCG@k` or `MRR`.
        thresholds: by slice and metric, the fields of `Threshold`.
        min_slice_requests: slices with fewer requests stop nothing.
        full_catalogue_requests: so many test requests, evenly spread, are ranked among all known items too; 0 ranks
            none.

    Raises:
        ValueError: for a slice or metric that is not measured, or a threshold out of range.
    """

    metrics: tuple[str, ...]
    thresholds: dict[str, dict[str, Threshold]] = dataclasses.field(default_factory=dict)
    min_slice_requests: int = 100
    full_catalogue_requests: int = 0

    def __post_init__(self) -> None:
        for name in ("min_slice_requests", "full_catalogue_requests"):
            if getattr(self, name) < 0:
                raise ValueError(f"`evaluation.{name}` should be at least 0. Received: {getattr(self, name)}.")
        for name, by_metric in self.thresholds.items():
            if name not in SLICES:
                raise ValueError(f"`evaluation.thresholds` should name slices: {', '.join(SLICES)}. Received: {name}.")
            if unknown := sorted(set(by_metric) - set(self.metrics)):
                raise ValueError(
                    "`evaluation.thresholds` should be on metrics that are measured: "
                    f"{', '.join(self.metrics)}. Received: {', '.join(unknown)}."
                )

    @classmethod
    def _from_plain(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "metrics": tuple(fields["metrics"]), "thresholds": thresholds_of(fields["thresholds"])}


def thresholds_of(plain: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Threshold]]:
    """Thresholds from plain values, as the settings file has them.

    Raises:
        ValueError: for a field that no threshold has, or a value out of range.
    """
    known = {field.name for field in dataclasses.fields(Threshold)}
    for name, by_metric in plain.items():
        for metric, fields in by_metric.items():
            if unknown := sorted(set(fields) - known):
                raise ValueError(
                    f"A threshold of `evaluation.thresholds` should have the fields "
                    f"{', '.join(sorted(known))}. Received: {', '.join(unknown)} of {metric} of {name}."
                )
    return {
        name: {metric: _threshold(name, metric, fields) for metric, fields in by_metric.items()}
        for name, by_metric in plain.items()
    }


def _threshold(name: str, metric: str, fields: dict[str, Any]) -> Threshold:
    try:
        return Threshold(**fields)
    except ValueError as error:
        raise ValueError(f"`evaluation.thresholds` of {metric} of {name}: {error}") from error
