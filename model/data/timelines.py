"""Training timelines of all users, in flat arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.contract import (
    CLICK_TARGET_FEATURES,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEM_COUNTS,
    SEARCH_ITEMS,
    SEARCH_TARGET_FEATURES,
    SEARCH_TIMES,
    SEARCH_WORD_COUNTS,
    SEARCH_WORDS,
    TIMELINE_FEATURES,
    USER,
)
from model.data.columns import ALL, Array, Columns, Part, offsets, read_columns


@dataclasses.dataclass(frozen=True)
class Histories:
    """Clicks and searches of U users, or of R requests, each event stored once; all int32, but times int64.

    Attributes:
        users: id of each row, `[U]`.
        rec_items: all clicks of row 0 in time order, then those of row 1 and so on, `[E]`.
        rec_offsets: row u's clicks are `rec_items[rec_offsets[u]:rec_offsets[u + 1]]`, `[U + 1]`.
        search_offsets: row u's searches are number `search_offsets[u]` up to `search_offsets[u + 1]`, `[U + 1]`.
        search_words, word_offsets: words of all S searches, and where each search's begin, `[S + 1]`.
        search_items, item_offsets: clicked items of all searches, and where each search's begin, `[S + 1]`.
        rec_times, search_times: when each click and each search was, milliseconds, `[E]` and `[S]`; None where a
            served request does not say.
    """

    users: Array
    rec_items: Array
    rec_offsets: Array
    search_offsets: Array
    search_words: Array
    word_offsets: Array
    search_items: Array
    item_offsets: Array
    rec_times: Array | None = dataclasses.field(default=None, kw_only=True)
    search_times: Array | None = dataclasses.field(default=None, kw_only=True)

    @property
    def search_item_offsets(self) -> Array:
        """Where the items that each row clicked in searches begin in `search_items`, `[U + 1]`."""
        return self.item_offsets[self.search_offsets]


@dataclasses.dataclass(frozen=True)
class Timelines(Histories):
    """The training log.

    Attributes:
        rec_clicks_before: for each click, the user's clicks strictly earlier, `[E]`.
        rec_searches_before: for each click, the user's searches strictly earlier, `[E]`.
        rec_is_target: for each click, 1 if it is a training target, `[E]`.
        search_clicks_before: for each search, the user's clicks strictly earlier, `[S]`.
        search_searches_before: for each search, the user's searches strictly earlier, `[S]`.
        search_is_target: for each search, 1 if the items clicked in it are training targets, `[S]`.
    """

    rec_clicks_before: Array
    rec_searches_before: Array
    rec_is_target: Array
    search_clicks_before: Array
    search_searches_before: Array
    search_is_target: Array

    @property
    def targets(self) -> Array:
        """Positions in `rec_items` of the training targets, int32 `[T]`."""
        return np.flatnonzero(self.rec_is_target).astype(np.int32)

    @property
    def search_targets(self) -> Array:
        """Positions in `search_items` of the training targets of searches, int32.

        A target is a query and an item that was clicked for it, so that a search with two clicked items has two. The
        search of a position is where `item_offsets` puts it. Items beyond those that a model looks at in a history
        are targets too; the vocabulary may not hold them.
        """
        return np.flatnonzero(np.repeat(self.search_is_target, np.diff(self.item_offsets))).astype(np.int32)

    def last_targets(self, count: int) -> Array:
        """The last `count` targets of each row; all of them if `count` is 0. int32."""
        targets = self.targets
        if not count:
            return targets
        rows = np.searchsorted(self.rec_offsets, targets, side="right")
        after = np.searchsorted(rows, rows, side="right") - 1 - np.arange(len(rows))
        return targets[after < count]


def read_timelines(files: Sequence[str], part: Part = ALL) -> Timelines:
    """Read transformed timeline Examples from gzipped TFRecord files, or a part of them as `read_columns` does.

    Raises:
        ValueError: if lists of an Example that belong together differ in length.
    """
    columns = read_columns(files, TIMELINE_FEATURES, part)
    histories = history_arrays(columns)
    for names, events in ((CLICK_TARGET_FEATURES, REC_ITEMS), (SEARCH_TARGET_FEATURES, SEARCH_WORD_COUNTS)):
        for name in names:
            _require_one_each(columns, name, events)
    return Timelines(
        **histories, **{name: columns[name].values for name in (*CLICK_TARGET_FEATURES, *SEARCH_TARGET_FEATURES)}
    )


def history_arrays(columns: Columns) -> dict[str, Array]:
    """The arguments of `Histories` from parsed columns.

    Raises:
        ValueError: if counts do not add up to what they count, or an event has no time.
    """
    searches = columns[SEARCH_WORD_COUNTS]
    if not np.array_equal(searches.lengths, columns[SEARCH_ITEM_COUNTS].lengths):
        raise ValueError(f"`{SEARCH_WORD_COUNTS}` and `{SEARCH_ITEM_COUNTS}` should be equally long in every Example.")
    _require_one_each(columns, REC_TIMES, REC_ITEMS)
    _require_one_each(columns, SEARCH_TIMES, SEARCH_WORD_COUNTS)
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
        "rec_times": columns[REC_TIMES].values,
        "search_times": columns[SEARCH_TIMES].values,
    }


def _require_one_each(columns: Columns, name: str, events: str) -> None:
    if not np.array_equal(columns[name].lengths, columns[events].lengths):
        raise ValueError(f"`{name}` should hold one value for each of `{events}` in every Example.")
