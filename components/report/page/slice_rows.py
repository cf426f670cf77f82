"""The slices of an evaluation, a row each."""

import dataclasses
from typing import Any

from components.evaluation.names import BASELINE, CANDIDATE, POPULARITY
from model.config import MAIN_METRIC

MAIN, SECOND = MAIN_METRIC, "HR@5"
"""Metrics of a slice: the one that decides on a push, and an easy one."""


@dataclasses.dataclass(frozen=True)
class SliceRow:
    """What a page says of a slice.

    Attributes:
        group, name: "searches in history" and "3 to 9"; both "all" of all requests.
        requests: how many; there may be none.
        main, second: the candidate's estimates of `MAIN` and `SECOND`.
        others: estimates of `MAIN` of the other models.
        difference: of `MAIN` to the model that the page compares with.
    """

    group: str
    name: str
    requests: int
    main: dict[str, Any]
    second: dict[str, Any]
    others: dict[str, dict[str, Any]]
    difference: dict[str, Any]

    @property
    def title(self) -> str:
        """Group and name."""
        return self.name if self.name == self.group else f"{self.group}: {self.name}"


def compared_with(evaluation: dict[str, Any]) -> str:
    """The last pushed model where there is one, and popularity otherwise."""
    return BASELINE if BASELINE in evaluation["differences"] else POPULARITY


def slice_rows(evaluation: dict[str, Any]) -> list[SliceRow]:
    """All slices in their order, empty ones too."""
    models, difference = evaluation["models"], evaluation["differences"][compared_with(evaluation)]
    rows = []
    for slice_name, of_candidate in models[CANDIDATE].items():
        group, _, name = slice_name.partition(": ")
        others = {role: slices[slice_name][MAIN] for role, slices in models.items() if role != CANDIDATE}
        rows.append(
            SliceRow(
                group,
                name or group,
                of_candidate[MAIN]["requests"],
                of_candidate[MAIN],
                of_candidate[SECOND],
                others,
                difference[slice_name][MAIN],
            )
        )
    return rows
