"""Writes training timelines and requests as tf.Examples, in the form of `model.contract`."""

import numpy as np
import polars as pl
import pyarrow as pa
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.example_gen.settings import LogSettings
from components.example_gen.splits import Split
from components.example_gen.timeline import Ints, TimelineColumns
from model import contract as inputs


class HistoryColumns:
    """The events of all users in flat arrays, from which histories are cut.

    Args:
        timelines: of the users.
        items_per_search: clicked items kept of a search, the first ones; None keeps all.
    """

    def __init__(self, timelines: TimelineColumns, items_per_search: int | None = None) -> None:
        self._users = _binary(timelines.users)
        self._clicks = _binary(timelines.clicks["item"])
        self._click_times, self._search_times = (
            events["timestamp"].rechunk().to_arrow() for events in (timelines.clicks, timelines.searches)
        )
        self._values, self._begins = {}, {}
        for name, column in ((inputs.SEARCH_WORDS, "words"), (inputs.SEARCH_ITEMS, "items")):
            lists = timelines.searches[column]
            if column == "items" and items_per_search is not None:
                lists = lists.list.head(items_per_search)
            self._values[name] = _binary(lists.explode(empty_as_null=False))
            self._begins[name] = np.concatenate([[0], lists.list.len().to_numpy().astype(np.int64).cumsum()])

    def cut(self, users: Ints, clicks: tuple[Ints, Ints], searches: tuple[Ints, Ints]) -> dict[str, pa.LargeListArray]:
        """Cut a history for each of R rows.

        Args:
            users: indices, `[R]`.
            clicks, searches: first place, and the first place that is not in the history any more, `[R]` each.
        """
        columns = {
            inputs.USER: _lists(self._users, users, users + 1),
            inputs.REC_ITEMS: _lists(self._clicks, *clicks),
            inputs.REC_TIMES: _lists(self._click_times, *clicks),
            inputs.SEARCH_TIMES: _lists(self._search_times, *searches),
        }
        for name, counts in (
            (inputs.SEARCH_WORDS, inputs.SEARCH_WORD_COUNTS),
            (inputs.SEARCH_ITEMS, inputs.SEARCH_ITEM_COUNTS),
        ):
            # The words of searches that follow each other follow each other too.
            columns[name] = _lists(self._values[name], *(self._begins[name][places] for places in searches))
            columns[counts] = _lists(pa.array(np.diff(self._begins[name])), *searches)
        return columns


def timeline_examples(timelines: TimelineColumns, split: Split) -> list[bytes]:
    """Serialize the training part of each user who has one; equal parts give equal bytes.

    All clicked items of a search are there: the model looks at the first few, but none of them is a negative.
    """
    users = np.flatnonzero((split.train_clicks > 0) | (split.train_searches > 0))
    clicks, searches = (
        (offsets[users], offsets[users] + count[users])
        for offsets, count in (
            (timelines.click_offsets, split.train_clicks),
            (timelines.search_offsets, split.train_searches),
        )
    )
    columns = HistoryColumns(timelines).cut(users, clicks, searches)
    for name, values, places in (
        (inputs.REC_CLICKS_BEFORE, split.clicks_before, clicks),
        (inputs.REC_SEARCHES_BEFORE, split.searches_before, clicks),
        (inputs.REC_IS_TARGET, split.is_target, clicks),
        (inputs.SEARCH_CLICKS_BEFORE, split.search_clicks_before, searches),
        (inputs.SEARCH_SEARCHES_BEFORE, split.search_searches_before, searches),
        (inputs.SEARCH_IS_TARGET, split.search_is_target, searches),
    ):
        columns[name] = _lists(pa.array(values.astype(np.int64)), *places)
    return _serialize(columns)


def request_examples(
    timelines: TimelineColumns, split: Split, requests: Ints, candidates: pl.DataFrame, settings: LogSettings
) -> list[bytes]:
    """Serialize requests; equal requests give equal bytes.

    Args:
        timelines, split: where they come from.
        requests: which of the split's requests, `[R]`.
        candidates: their `candidates` and `label`, `[R]` rows.
        settings: `rec_length`, `search_length` and `items_per_search` count.
    """
    targets = split.requests[requests]
    users = split.user[targets]
    windows = []
    for offsets, before, length in (
        (timelines.click_offsets, split.clicks_before, settings.rec_length),
        (timelines.search_offsets, split.searches_before, settings.search_length),
    ):
        end = offsets[users] + before[targets]
        windows.append((np.maximum(offsets[users], end - length), end))
    columns = HistoryColumns(timelines, settings.items_per_search).cut(users, *windows)
    ends = np.concatenate([[0], candidates["candidates"].list.len().to_numpy().astype(np.int64).cumsum()])
    items = _binary(candidates["candidates"].explode(empty_as_null=False))
    columns[inputs.CANDIDATES] = _lists(items, ends[:-1], ends[1:])
    rows = np.arange(len(targets))
    columns[inputs.LABEL] = _lists(pa.array(candidates["label"].to_numpy().astype(np.int64)), rows, rows + 1)
    return _serialize(columns)


def _lists(values: pa.Array, begins: Ints, ends: Ints) -> pa.LargeListArray:
    """Row r holds `values[begins[r]:ends[r]]`."""
    lengths = ends - begins
    offsets = np.concatenate([[0], lengths.cumsum()])
    places = np.repeat(begins - offsets[:-1], lengths) + np.arange(offsets[-1])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values.take(pa.array(places, pa.int64())))


def _binary(strings: pl.Series) -> pa.Array:
    array = strings.cast(pl.String).rechunk().to_arrow()
    return array.cast(pa.large_binary())


def _serialize(columns: dict[str, pa.LargeListArray]) -> list[bytes]:
    encoded = RecordBatchToExamplesEncoder().encode(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))
    from tensorflow.core.example.example_pb2 import Example  # brings TensorFlow, which workers that only read need not

    # The encoder writes the features of an Example in an order that changes from one to the next.
    return [Example.FromString(record).SerializeToString(deterministic=True) for record in encoded]
