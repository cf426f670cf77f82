"""Training timelines of all users, in flat arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.inputs import (
    REC_CLICKS_BEFORE,
    REC_IS_TARGET,
    REC_ITEMS,
    REC_SEARCHES_BEFORE,
    SEARCH_ITEM_COUNTS,
    SEARCH_ITEMS,
    SEARCH_WORD_COUNTS,
    SEARCH_WORDS,
    TIMELINE_FEATURES,
    USER,
)
from model.training.columns import Columns, offsets, read_columns


@dataclasses.dataclass(frozen=True)
class Histories:
    """Clicks and searches of U users, or of R requests, each event stored once, all int32.

    Attributes:
        users: id of each row, `[U]`.
        rec_items: all clicks of row 0 in time order, then those of row 1 and so on, `[E]`.
        rec_offsets: row u's clicks are `rec_items[rec_offsets[u]:rec_offsets[u + 1]]`, `[U + 1]`.
        search_offsets: row u's searches are number `search_offsets[u]` up to `search_offsets[u + 1]`, `[U + 1]`.
        search_words, word_offsets: words of all S searches, and where each search's begin, `[S + 1]`.
        search_items, item_offsets: clicked items of all searches, and where each search's begin, `[S + 1]`.
    """

    users: np.ndarray
    rec_items: np.ndarray
    rec_offsets: np.ndarray
    search_offsets: np.ndarray
    search_words: np.ndarray
    word_offsets: np.ndarray
    search_items: np.ndarray
    item_offsets: np.ndarray

    @property
    def search_item_offsets(self) -> np.ndarray:
        """Where the items that each row clicked in searches begin in `search_items`, `[U + 1]`."""
        return self.item_offsets[self.search_offsets]


@dataclasses.dataclass(frozen=True)
class Timelines(Histories):
    """The training log.

    Attributes:
        rec_clicks_before: for each click, the user's clicks strictly earlier, `[E]`.
        rec_searches_before: for each click, the user's searches strictly earlier, `[E]`.
        rec_is_target: for each click, 1 if it is a training target, `[E]`.
    """

    rec_clicks_before: np.ndarray
    rec_searches_before: np.ndarray
    rec_is_target: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """Positions in `rec_items` of the training targets, int32 `[T]`."""
        return np.flatnonzero(self.rec_is_target).astype(np.int32)

    def last_targets(self, count: int) -> np.ndarray:
        """The last `count` targets of each row; all of them if `count` is 0. int32."""
        targets = self.targets
        if not count:
            return targets
        rows = np.searchsorted(self.rec_offsets, targets, side="right")
        after = np.searchsorted(rows, rows, side="right") - 1 - np.arange(len(rows))
        return targets[after < count]


def read_timelines(files: Sequence[str]) -> Timelines:
    """Reads transformed timeline Examples from gzipped TFRecord files.

    Raises:
        ValueError: if lists of an Example that belong together differ in length.
    """
    columns = read_columns(files, TIMELINE_FEATURES)
    for name in (REC_CLICKS_BEFORE, REC_SEARCHES_BEFORE, REC_IS_TARGET):
        if not np.array_equal(columns[name].lengths, columns[REC_ITEMS].lengths):
            raise ValueError(f"`{name}` should hold one value for each of `{REC_ITEMS}` in every Example.")
    return Timelines(
        **history_arrays(columns),
        rec_clicks_before=columns[REC_CLICKS_BEFORE].values,
        rec_searches_before=columns[REC_SEARCHES_BEFORE].values,
        rec_is_target=columns[REC_IS_TARGET].values,
    )


def history_arrays(columns: Columns) -> dict[str, np.ndarray]:
    """The arguments of `Histories` from parsed columns.

    Raises:
        ValueError: if counts do not add up to what they count.
    """
    searches = columns[SEARCH_WORD_COUNTS]
    if not np.array_equal(searches.lengths, columns[SEARCH_ITEM_COUNTS].lengths):
        raise ValueError(f"`{SEARCH_WORD_COUNTS}` and `{SEARCH_ITEM_COUNTS}` should be equally long in every Example.")
    search_offsets = offsets(searches.lengths)
    within = {}
    for name, counted in ((SEARCH_WORD_COUNTS, SEARCH_WORDS), (SEARCH_ITEM_COUNTS, SEARCH_ITEMS)):
        within[name] = offsets(columns[name].values)
        if not np.array_equal(np.diff(within[name][search_offsets]), columns[counted].lengths):
            raise ValueError(f"`{name}` should add up to the length of `{counted}` in every Example.")
    return {
        "users": columns[USER].values,
        "rec_items": columns[REC_ITEMS].values,
        "rec_offsets": offsets(columns[REC_ITEMS].lengths),
        "search_offsets": search_offsets,
        "search_words": columns[SEARCH_WORDS].values,
        "word_offsets": within[SEARCH_WORD_COUNTS],
        "search_items": columns[SEARCH_ITEMS].values,
        "item_offsets": within[SEARCH_ITEM_COUNTS],
    }
