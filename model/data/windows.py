"""Left-padded model batches, gathered in the graph from flat arrays."""

from collections.abc import Sequence
from typing import Final

import tensorflow as tf

from model.config import RankerConfig
from model.contract import CANDIDATES, QUERY, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from model.data.requests import Requests
from model.data.timelines import Histories, Timelines

Batch = dict[str, tf.Tensor]

ID_INPUTS: Final = (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)
"""What a model reads of a history that does not ask for times."""


class Windows:
    """The newest events of rows of `Histories`, as the model batch of `model.contract`.

    Args:
        histories: the log, copied to the device once; or one request batch, as tensors of a graph. Times count only
            where `inputs` name them.
        config: Lr, Ls, W and M.
        inputs: what a batch holds, of `ID_INPUTS`, `REC_TIMES` and `SEARCH_TIMES`.
    """

    def __init__(self, histories: Histories, config: RankerConfig, inputs: Sequence[str] = ID_INPUTS) -> None:
        self._config = config
        self._inputs = tuple(inputs)
        self._users = tf.convert_to_tensor(histories.users)
        self._rec_offsets = tf.convert_to_tensor(histories.rec_offsets)
        self._search_offsets = tf.convert_to_tensor(histories.search_offsets)
        # One padding id after the last value, and one search without content after the last search: every place
        # of a window without an event points there.
        self._rec_items, self._words, self._items = (
            tf.concat([values, [0]], 0)
            for values in (histories.rec_items, histories.search_words, histories.search_items)
        )
        self._times = {
            name: tf.concat([values, tf.zeros([1], tf.int64)], 0)
            for name, values in ((REC_TIMES, histories.rec_times), (SEARCH_TIMES, histories.search_times))
            if name in self._inputs
        }
        self._word_offsets, self._item_offsets = (
            tf.concat([begins, begins[-1:]], 0) for begins in (histories.word_offsets, histories.item_offsets)
        )

    def gather(self, rows: tf.Tensor, rec_ends: tf.Tensor, search_ends: tf.Tensor) -> Batch:
        """Cuts rows at given events.

        Args:
            rows: rows of the log, `[B]`.
            rec_ends: positions of the first click that must not be seen, `[B]`.
            search_ends: the same of searches, `[B]`.

        Returns:
            The model batch without candidates: what `inputs` name.
        """
        config = self._config
        clicks = _newest(tf.gather(self._rec_offsets, rows), rec_ends, config.rec_length, self._rec_items)
        searches = _newest(
            tf.gather(self._search_offsets, rows), search_ends, config.search_length, self._word_offsets[1:]
        )
        batch = {
            USER: tf.gather(self._users, rows),
            REC_ITEMS: tf.gather(self._rec_items, clicks),
            SEARCH_WORDS: _first(self._words, self._word_offsets, searches, config.words_per_search),
            SEARCH_ITEMS: _first(self._items, self._item_offsets, searches, config.items_per_search),
        }
        for name, events in ((REC_TIMES, clicks), (SEARCH_TIMES, searches)):
            if name in self._times:
                batch[name] = tf.gather(self._times[name], events)
        return {name: batch[name] for name in self._inputs}


class TargetWindows(Windows):
    """Training batches: what a user did before a click."""

    def __init__(self, timelines: Timelines, config: RankerConfig, inputs: Sequence[str] = ID_INPUTS) -> None:
        super().__init__(timelines, config, inputs)
        self._clicks_before = tf.constant(timelines.rec_clicks_before)
        self._searches_before = tf.constant(timelines.rec_searches_before)

    def __call__(self, positions: tf.Tensor) -> tuple[Batch, tf.Tensor]:
        """The batch before the clicks at `positions` of `rec_items`, int32 `[B]`, and the items clicked, `[B]`.

        The history holds the clicks and searches strictly earlier than the click.
        """
        rows = tf.searchsorted(self._rec_offsets, positions, side="right") - 1
        rec_ends = tf.gather(self._rec_offsets, rows) + tf.gather(self._clicks_before, positions)
        search_ends = tf.gather(self._search_offsets, rows) + tf.gather(self._searches_before, positions)
        return self.gather(rows, rec_ends, search_ends), tf.gather(self._rec_items, positions)


class SearchTargetWindows(Windows):
    """Training batches: what a user did before a search, what the search was for, and an item clicked in it."""

    def __init__(self, timelines: Timelines, config: RankerConfig, inputs: Sequence[str] = ID_INPUTS) -> None:
        super().__init__(timelines, config, inputs)
        self._clicks_before = tf.constant(timelines.search_clicks_before)
        self._searches_before = tf.constant(timelines.search_searches_before)

    def __call__(self, positions: tf.Tensor) -> tuple[Batch, tf.Tensor, tf.Tensor]:
        """Batches of items clicked in searches.

        Args:
            positions: of the items in `search_items`, int32 `[B]`.

        Returns:
            The batch before the searches, which holds the clicks and searches strictly earlier, and as `QUERY` the
            words of the searches, `[B, W]`; the rows of the log, `[B]`; and the items, `[B]`.
        """
        searches = tf.searchsorted(self._item_offsets, positions, side="right") - 1
        rows = tf.searchsorted(self._search_offsets, searches, side="right") - 1
        rec_ends = tf.gather(self._rec_offsets, rows) + tf.gather(self._clicks_before, searches)
        search_ends = tf.gather(self._search_offsets, rows) + tf.gather(self._searches_before, searches)
        words = _first(self._words, self._word_offsets, searches, self._config.words_per_search)
        batch = {**self.gather(rows, rec_ends, search_ends), QUERY: words}
        return batch, rows, tf.gather(self._items, positions)


class RequestWindows(Windows):
    """Evaluation batches: whole requests."""

    def __init__(self, requests: Requests, config: RankerConfig, inputs: Sequence[str] = ID_INPUTS) -> None:
        super().__init__(requests, config, inputs)
        self._candidates = tf.constant(requests.candidates)
        self._label = tf.constant(requests.label)

    def __call__(self, rows: tf.Tensor) -> tuple[Batch, tf.Tensor]:
        """The batch of requests `rows`, `[B]`, with candidates `[B, C]`, and their labels, `[B]`."""
        batch = self.gather(rows, tf.gather(self._rec_offsets, rows + 1), tf.gather(self._search_offsets, rows + 1))
        return {**batch, CANDIDATES: tf.gather(self._candidates, rows)}, tf.gather(self._label, rows)


def _newest(begins: tf.Tensor, ends: tf.Tensor, length: int, values: tf.Tensor) -> tf.Tensor:
    """Indices of the last `length` events of `[begin, end)`, `[B, length]`; of the last of `values` where none."""
    at = ends[:, None] - length + tf.range(length)
    return tf.where(at >= begins[:, None], at, tf.size(values) - 1)


def _first(values: tf.Tensor, begins: tf.Tensor, searches: tf.Tensor, length: int) -> tf.Tensor:
    """The first `length` values of each search, padded on the right: `[..., length]`."""
    at = tf.gather(begins, searches)[..., None] + tf.range(length)
    inside = at < tf.gather(begins, searches + 1)[..., None]
    return tf.gather(values, tf.where(inside, at, tf.size(values) - 1))
