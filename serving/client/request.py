"""What a client asks: one user, its two histories and the candidates to rank."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.contract import BLANKS, CANDIDATES, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from serving.limits import excess

_PADDING = ""
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Search:
    """A search of the user: the words of the query, the items clicked in its results (maybe none), and its time.

    The time, in milliseconds, is for models that read times.
    """

    words: Sequence[str]
    items: Sequence[str] = ()
    time: int | None = None

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
        rec_times: when each of `rec_items` was clicked, in milliseconds, for models that read times.

    Raises:
        ValueError: an id or a word is not a string, empty, of blanks alone or not to be written in UTF-8; there is no
            candidate; or a list is longer than the limits of `model.contract` allow.
    """

    user: str
    candidates: Sequence[str]
    rec_items: Sequence[str] = ()
    searches: Sequence[Search] = field(default=())
    rec_times: Sequence[int] = ()

    def __post_init__(self) -> None:
        _check("user", [self.user])
        _check("candidates", self.candidates)
        _check("rec_items", self.rec_items)
        if not self.candidates:
            raise ValueError("candidates: expected at least one item to rank, got none.")
        if self.rec_times and len(self.rec_times) != len(self.rec_items):
            raise ValueError(
                f"rec_times: expected one for each of rec_items, {len(self.rec_items)}, got {len(self.rec_times)}."
            )
        _shapes([self])

    @property
    def has_times(self) -> bool:
        """Whether it says when each click and each search was."""
        return len(self.rec_times) == len(self.rec_items) and all(search.time is not None for search in self.searches)


def request_inputs(requests: Sequence[RankRequest]) -> dict[str, npt.NDArray[Any]]:
    """Build the raw inputs of the `rank` signature.

    Histories are padded on the left, so that the newest event is the last column; words and items of a search, and
    candidates, on the right. Every dimension is at least 1: an empty history is one column of padding.

    Args:
        requests: B requests.

    Returns:
        `user [B]`, `rec_items [B, Lr]`, `search_words [B, Ls, W]`, `search_items [B, Ls, M]`, `candidates [B, C]`:
        UTF-8 bytes, `""` is padding; and where all requests have times `rec_times [B, Lr]` and `search_times [B, Ls]`,
        int64, 0 is padding.

    Raises:
        ValueError: the requests together, with their padding, are above the limits of `model.contract`.
    """
    shapes = _shapes(requests)
    rec, candidates = shapes[REC_ITEMS][1], shapes[CANDIDATES][1]
    (_, searches, words), items = shapes[SEARCH_WORDS], shapes[SEARCH_ITEMS][2]
    empty = Search(())
    padded = [[empty] * (searches - len(request.searches)) + list(request.searches) for request in requests]
    inputs = {
        USER: _encoded([request.user for request in requests]),
        REC_ITEMS: _encoded([_left(request.rec_items, rec) for request in requests]),
        SEARCH_WORDS: _encoded([[_right(search.words, words) for search in row] for row in padded]),
        SEARCH_ITEMS: _encoded([[_right(search.items, items) for search in row] for row in padded]),
        CANDIDATES: _encoded([_right(request.candidates, candidates) for request in requests]),
    }
    if all(request.has_times for request in requests):
        of_clicks = [[0] * (rec - len(request.rec_times)) + list(request.rec_times) for request in requests]
        inputs[REC_TIMES] = np.array(of_clicks, np.int64)
        inputs[SEARCH_TIMES] = np.array([[search.time or 0 for search in row] for row in padded], np.int64)
    return inputs


def _shapes(requests: Sequence[RankRequest]) -> dict[str, tuple[int, ...]]:
    batch, searches = len(requests), [search for request in requests for search in request.searches]
    longest = _longest(request.searches for request in requests)
    shapes = {
        USER: (batch,),
        REC_ITEMS: (batch, _longest(request.rec_items for request in requests)),
        SEARCH_WORDS: (batch, longest, _longest(search.words for search in searches)),
        SEARCH_ITEMS: (batch, longest, _longest(search.items for search in searches)),
        CANDIDATES: (batch, _longest(request.candidates for request in requests)),
    }
    if message := excess(shapes):
        raise ValueError(message)
    return shapes


def _check(name: str, values: Sequence[str]) -> None:
    if isinstance(values, str):
        raise ValueError(f"{name}: expected a list of strings, got the string {values!r}.")
    for value in values:
        if not isinstance(value, str) or not value.strip(BLANKS):
            raise ValueError(f"{name}: expected strings that are not blank, got {value!r}.")
        if _SURROGATES.search(value):
            raise ValueError(f"{name}: expected strings that UTF-8 can write, got {value!r}.")


def _longest(sequences: Iterable[Sequence[object]]) -> int:
    return max((len(sequence) for sequence in sequences), default=1) or 1


def _left(values: Sequence[str], length: int) -> list[str]:
    return [_PADDING] * (length - len(values)) + list(values)


def _right(values: Sequence[str], length: int) -> list[str]:
    return list(values) + [_PADDING] * (length - len(values))


def _encoded(values: Sequence[object]) -> npt.NDArray[Any]:
    # An object array of bytes: NumPy's fixed-width strings would cut trailing zero bytes.
    array = np.array(values, dtype=object)
    return np.array([str(value).encode() for value in array.ravel()], dtype=object).reshape(array.shape)
