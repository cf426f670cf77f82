"""What a client asks: one user with its two histories, and candidates to rank; and the tensors that say so."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from model.contract import BLANKS, CANDIDATES, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from serving.limits import LEADING, excess

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
class History:
    """A user with what it clicked and searched. Ids are strings; unknown ones are allowed everywhere.

    Args:
        user: the user's id.
        rec_items: the items clicked in recommendations, oldest first.
        searches: the searches, oldest first.
        rec_times: when each of `rec_items` was clicked, in milliseconds, for models that read times.

    Raises:
        ValueError: an id or a word is not a string, empty, of blanks alone or not to be written in UTF-8; or a list is
            longer than the limits of `model.contract` allow.
    """

    user: str
    rec_items: Sequence[str] = ()
    searches: Sequence[Search] = field(default=())
    rec_times: Sequence[int] = ()

    def __post_init__(self) -> None:
        _check("user", [self.user])
        _check("rec_items", self.rec_items)
        if self.rec_times and len(self.rec_times) != len(self.rec_items):
            raise ValueError(
                f"rec_times: expected one for each of rec_items, {len(self.rec_items)}, got {len(self.rec_times)}."
            )
        _require_fit(lambda leading: _history_shapes([self], leading))

    @property
    def has_times(self) -> bool:
        """Whether it says when each click and each search was."""
        return len(self.rec_times) == len(self.rec_items) and all(search.time is not None for search in self.searches)


@dataclass(frozen=True)
class RankRequest:
    """Candidates to be ranked for one user: `candidates`, at least one, and what `History` takes.

    Raises:
        ValueError: as `History`; or there is no candidate.
    """

    user: str
    candidates: Sequence[str]
    rec_items: Sequence[str] = ()
    searches: Sequence[Search] = field(default=())
    rec_times: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_candidates(self.candidates)
        self.history  # noqa: B018 - which is checked as it is made

    @cached_property
    def history(self) -> History:
        """All but the candidates."""
        return History(self.user, self.rec_items, self.searches, self.rec_times)


def request_inputs(requests: Sequence[RankRequest]) -> dict[str, npt.NDArray[Any]]:
    """Build the raw inputs of the `rank` signature: those of `history_inputs`, and the candidates.

    Raises:
        ValueError: the requests together, with their padding, are above the limits of `model.contract`.
    """
    _require_fit(lambda leading: _rank_shapes(requests, leading))
    candidates = candidate_inputs([request.candidates for request in requests])
    return {**history_inputs([request.history for request in requests]), **candidates}


def history_inputs(histories: Sequence[History]) -> dict[str, npt.NDArray[Any]]:
    """Build the raw inputs of the signatures that read histories.

    Events are padded on the left, so that the newest is the last column, and there is a column of padding before the
    longest history too: TF Serving, where it merges calls into a batch, fills up a tensor on the right with its first
    element, which must be padding therefore. Words and items of a search are padded on the right.

    Args:
        histories: B users' histories.

    Returns:
        `user [B]`, `rec_items [B, 1 + Lr]`, `search_words [B, 1 + Ls, W]`, `search_items [B, 1 + Ls, M]`: UTF-8 bytes,
        `""` is padding, W and M at least 1; and where all have times `rec_times [B, 1 + Lr]` and
        `search_times [B, 1 + Ls]`, int64, 0 is padding.
    """
    shapes = _history_shapes(histories)
    rec, (_, searches, words), items = shapes[REC_ITEMS][1], shapes[SEARCH_WORDS], shapes[SEARCH_ITEMS][2]
    empty = Search(())
    padded = [[empty] * (searches - len(one.searches)) + list(one.searches) for one in histories]
    inputs = {
        USER: _encoded([one.user for one in histories]),
        REC_ITEMS: _encoded([_left(one.rec_items, rec) for one in histories]),
        SEARCH_WORDS: _encoded([[_right(search.words, words) for search in row] for row in padded]),
        SEARCH_ITEMS: _encoded([[_right(search.items, items) for search in row] for row in padded]),
    }
    if all(one.has_times for one in histories):
        of_clicks = [[0] * (rec - len(one.rec_times)) + list(one.rec_times) for one in histories]
        inputs[REC_TIMES] = np.array(of_clicks, np.int64)
        inputs[SEARCH_TIMES] = np.array([[search.time or 0 for search in row] for row in padded], np.int64)
    return inputs


def candidate_inputs(candidates: Sequence[Sequence[str]]) -> dict[str, npt.NDArray[Any]]:
    """`candidates [B, 1 + C]`, UTF-8 bytes: a column of padding, the candidates, and padding again."""
    columns = _candidate_shape(candidates)[1]
    return {CANDIDATES: _encoded([_right([_PADDING, *row], columns) for row in candidates])}


def check_candidates(candidates: Sequence[str]) -> None:
    """Refuse what cannot be ranked.

    Raises:
        ValueError: there is no candidate, there are too many, or one is no id.
    """
    _check("candidates", candidates)
    if not candidates:
        raise ValueError("candidates: expected at least one item to rank, got none.")
    _require_fit(lambda leading: {CANDIDATES: _candidate_shape([candidates], leading)})


def check_item(item: str) -> None:
    """Refuse what is no id.

    Raises:
        ValueError: it is not a string, empty or of blanks alone.
    """
    _check("item", [item])


def rows_of(inputs: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """What tensors of histories and candidates say, row by row: the reverse of `request_inputs`.

    As the model does, it skips empty cells, wherever they are. Inputs that are not there are left out.

    Returns:
        For each row `user`, the strings of `rec_items` and `candidates`, the numbers of `rec_times` and `search_times`,
        and for each search the strings of `search_words` and `search_items`.
    """
    rows: list[dict[str, Any]] = []
    for row in range(len(next(iter(inputs.values())))):
        given = {name: value[row] for name, value in inputs.items()}
        said: dict[str, Any] = {USER: given[USER]} if USER in given else {}
        for name in (REC_ITEMS, CANDIDATES):
            if name in given:
                said[name] = _real(given[name])
        by_search = [name for name in (SEARCH_WORDS, SEARCH_ITEMS) if name in given]
        searches = (
            [at for at in range(len(given[by_search[0]])) if any(_real(given[name][at]) for name in by_search)]
            if by_search
            else []
        )
        said |= {name: [_real(given[name][at]) for at in searches] for name in by_search}
        if REC_TIMES in given:
            said[REC_TIMES] = [int(time) for time, item in zip(given[REC_TIMES], given[REC_ITEMS], strict=True) if item]
        if SEARCH_TIMES in given:
            said[SEARCH_TIMES] = [int(given[SEARCH_TIMES][at]) for at in searches]
        rows.append(said)
    return rows


def _real(cells: npt.NDArray[Any]) -> list[bytes]:
    return [cell for cell in cells if cell]


def _history_shapes(histories: Sequence[History | RankRequest], leading: int = LEADING) -> dict[str, tuple[int, ...]]:
    batch, searches = len(histories), [search for one in histories for search in one.searches]
    longest = leading + _longest(one.searches for one in histories)
    return {
        USER: (batch,),
        REC_ITEMS: (batch, leading + _longest(one.rec_items for one in histories)),
        SEARCH_WORDS: (batch, longest, _longest(search.words for search in searches) or 1),
        SEARCH_ITEMS: (batch, longest, _longest(search.items for search in searches) or 1),
    }


def _candidate_shape(candidates: Sequence[Sequence[str]], leading: int = LEADING) -> tuple[int, int]:
    return len(candidates), leading + _longest(candidates)


def _rank_shapes(requests: Sequence[RankRequest], leading: int) -> dict[str, tuple[int, ...]]:
    candidates = _candidate_shape([request.candidates for request in requests], leading)
    return {**_history_shapes(requests, leading), CANDIDATES: candidates}


def _require_fit(shapes: Callable[[int], dict[str, tuple[int, ...]]]) -> None:
    """What was asked should be within the limits, and what is sent for it, with its leading padding."""
    if message := excess(shapes(0), leading=0) or excess(shapes(LEADING)):
        raise ValueError(message)


def _check(name: str, values: Sequence[str]) -> None:
    if isinstance(values, str):
        raise ValueError(f"{name}: expected a list of strings, got the string {values!r}.")
    for value in values:
        if not isinstance(value, str) or not value.strip(BLANKS):
            raise ValueError(f"{name}: expected strings that are not blank, got {value!r}.")
        if _SURROGATES.search(value):
            raise ValueError(f"{name}: expected strings that UTF-8 can write, got {value!r}.")


def _longest(sequences: Iterable[Sequence[object]]) -> int:
    return max((len(sequence) for sequence in sequences), default=0)


def _left(values: Sequence[str], length: int) -> list[str]:
    return [_PADDING] * (length - len(values)) + list(values)


def _right(values: Sequence[str], length: int) -> list[str]:
    return list(values) + [_PADDING] * (length - len(values))


def _encoded(values: Sequence[object]) -> npt.NDArray[Any]:
    # An object array of bytes: NumPy's fixed-width strings would cut trailing zero bytes.
    array = np.array(values, dtype=object)
    return np.array([str(value).encode() for value in array.ravel()], dtype=object).reshape(array.shape)
