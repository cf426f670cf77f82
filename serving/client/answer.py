"""What a client gets: replies in the caller's own terms, and how they are read from tensors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from serving.client.request import History, RankRequest
from serving.limits import LEADING

Tensors = Mapping[str, npt.NDArray[Any]]


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


@dataclass(frozen=True)
class State:
    """A history as `encode` read it, for `score`: many calls with candidates, one with the history.

    Args:
        history: what was encoded; another version encodes it anew.
        version: of the model that made it, and the only one that can read it.
        arrays: the parts of the state by name, `[1, ...]`.
    """

    history: History
    version: int
    arrays: Tensors = field(repr=False, compare=False)


@dataclass(frozen=True)
class ScoredCandidates(RankedCandidates):
    """The answer of `score`.

    Args:
        state: the one that was scored; keep it for the next call.
        encoded_anew: True where the state given could not be read any more, and `state` is another one.
    """

    state: State
    encoded_anew: bool


@dataclass(frozen=True)
class Recommendation:
    """An item of the catalogue with its logit."""

    item: str
    score: float


@dataclass(frozen=True)
class Recommendations:
    """The best items of the catalogue, best first, and the version that found them."""

    items: tuple[Recommendation, ...]
    version: int


@dataclass(frozen=True)
class Explanation:
    """Why an item has its score.

    Args:
        score: the item's logit.
        rec_weights: of each of the request's `rec_items`, 0 for those older than what the model reads. With
            `search_weights` they sum to 1, or to 0 where there is no history.
        search_weights: of each of its `searches`.
        rec_steps: the cosine of each reasoning state of the recommendation side with the item; the first is before any
            step.
        search_steps: that of the search side.
        version: of the model that answered.
    """

    score: float
    rec_weights: tuple[float, ...]
    search_weights: tuple[float, ...]
    rec_steps: tuple[float, ...]
    search_steps: tuple[float, ...]
    version: int


def ranked(items: Sequence[str], scores: npt.NDArray[Any], ranks: npt.NDArray[Any]) -> tuple[RankedCandidate, ...]:
    """Orders candidates by rank.

    Args:
        items: C candidates.
        scores: `[>= 1 + C]`; the first column and those beyond C are padding.
        ranks: `[>= 1 + C]`.
    """
    own = slice(LEADING, LEADING + len(items))
    rows = [
        RankedCandidate(item, int(rank), float(score))
        for item, rank, score in zip(items, ranks[own], scores[own], strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: row.rank))


def rankings(requests: Sequence[RankRequest], outputs: Tensors, version: int) -> list[RankedCandidates]:
    """The answers of `rank`, one for each request."""
    rows = zip(requests, outputs["scores"], outputs["ranks"], strict=True)
    return [RankedCandidates(ranked(request.candidates, score, rank), version) for request, score, rank in rows]


def recommendations(outputs: Tensors, k: int, version: int) -> Recommendations:
    """The answer of `recommend`, cut to `k`; a catalogue may have fewer items."""
    rows = zip(outputs["items"][0, :k], outputs["scores"][0, :k], strict=True)
    return Recommendations(tuple(Recommendation(item.decode(), float(score)) for item, score in rows if item), version)


def explanation(history: History, outputs: Tensors, version: int) -> Explanation:
    """The answer of `explain`, its weights as the history has its events."""
    return Explanation(
        score=float(outputs["score"][0]),
        rec_weights=_weights(outputs["rec_weights"], len(history.rec_items)),
        search_weights=_weights(outputs["search_weights"], len(history.searches)),
        rec_steps=tuple(outputs["rec_steps"][0].tolist()),
        search_steps=tuple(outputs["search_steps"][0].tolist()),
        version=version,
    )


def _weights(weights: npt.NDArray[Any], events: int) -> tuple[float, ...]:
    """Of a single history: its events stand behind the leading padding, what a merged batch adds behind them."""
    return tuple(weights[0, LEADING : LEADING + events].tolist())
