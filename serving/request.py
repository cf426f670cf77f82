"""What a client asks: one user, its two histories and the candidates to rank."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.inputs import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER

_PADDING = ""


@dataclass(frozen=True)
class Search:
    """A search of the user: the words of the query, and the items clicked in its results (maybe none)."""

    words: Sequence[str]
    items: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check("a search's words", self.words)
        _check("a search's items", self.items)


@dataclass(frozen=True)
class RankRequest:
    """Candidates to be ranked for one user. Ids are strings; unknown ones are allowed everywhere.

    Args:
        user: the user's id.
        candidates: the items to rank, at least one.
        rec_items: the items clicked in recommendations, oldest first.
        searches: the searches, oldest first.

    Raises:
        ValueError: an id or a word is empty or not a string, or there is no candidate.
    """

    user: str
    candidates: Sequence[str]
    rec_items: Sequence[str] = ()
    searches: Sequence[Search] = field(default=())

    def __post_init__(self) -> None:
        _check("user", [self.user])
        _check("candidates", self.candidates)
        _check("rec_items", self.rec_items)
        if not self.candidates:
            raise ValueError("candidates: expected at least one item to rank, got none.")


def request_inputs(requests: Sequence[RankRequest]) -> dict[str, np.ndarray]:
    """Builds the raw inputs of the `rank` signature.

    Histories are padded on the left, so that the newest event is the last column; words and items of a search, and
    candidates, on the right. Every dimension is at least 1: an empty history is one column of padding.

    Args:
        requests: B requests.

    Returns:
        `user [B]`, `rec_items [B, Lr]`, `search_words [B, Ls, W]`, `search_items [B, Ls, M]`, `candidates [B, C]`:
        UTF-8 bytes, `""` is padding.
    """
    rec = _longest(request.rec_items for request in requests)
    searches = _longest(request.searches for request in requests)
    words = _longest(search.words for request in requests for search in request.searches)
    items = _longest(search.items for request in requests for search in request.searches)
    candidates = _longest(request.candidates for request in requests)
    empty = Search(())
    padded = [[empty] * (searches - len(request.searches)) + list(request.searches) for request in requests]
    return {
        USER: _encoded([request.user for request in requests]),
        REC_ITEMS: _encoded([_left(request.rec_items, rec) for request in requests]),
        SEARCH_WORDS: _encoded([[_right(search.words, words) for search in row] for row in padded]),
        SEARCH_ITEMS: _encoded([[_right(search.items, items) for search in row] for row in padded]),
        CANDIDATES: _encoded([_right(request.candidates, candidates) for request in requests]),
    }


def _check(name: str, values: Sequence[str]) -> None:
    if isinstance(values, str):
        raise ValueError(f"{name}: expected a list of strings, got the string {values!r}.")
    for value in values:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name}: expected non-empty strings, got {value!r}.")


def _longest(sequences: Iterable[Sequence[object]]) -> int:
    return max((len(sequence) for sequence in sequences), default=1) or 1


def _left(values: Sequence[str], length: int) -> list[str]:
    return [_PADDING] * (length - len(values)) + list(values)


def _right(values: Sequence[str], length: int) -> list[str]:
    return list(values) + [_PADDING] * (length - len(values))


def _encoded(values: Sequence[object]) -> np.ndarray:
    # An object array of bytes: NumPy's fixed-width strings would cut trailing zero bytes.
    array = np.array(values, dtype=object)
    return np.array([str(value).encode() for value in array.ravel()], dtype=object).reshape(array.shape)
