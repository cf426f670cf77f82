"""What a client gets: the candidates in the order of their ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class RankedCandidate:
    """An item with its rank (1 is best) and its logit."""

    item: str
    rank: int
    score: float


@dataclass(frozen=True)
class RankedCandidates:
    """The answer to a request: all its candidates, best first, and the version that ranked them."""

    candidates: tuple[RankedCandidate, ...]
    version: int

    @property
    def scored(self) -> bool:
        """False where a score is NaN: the model could not score this request, and its ranks mean nothing."""
        return not any(math.isnan(row.score) for row in self.candidates)


def ranked(items: Sequence[str], scores: npt.NDArray[Any], ranks: npt.NDArray[Any], version: int) -> RankedCandidates:
    """Orders candidates by rank.

    Args:
        items: C candidates.
        scores: `[>= C]`; columns beyond C are padding.
        ranks: `[>= C]`.
        version: of the model.
    """
    rows = [
        RankedCandidate(item, int(rank), float(score))
        for item, rank, score in zip(items, ranks[: len(items)], scores[: len(items)], strict=True)
    ]
    return RankedCandidates(tuple(sorted(rows, key=lambda row: row.rank)), version)
