"""Slices of requests, worked out by hand."""

import numpy as np
import pytest

from components.evaluation.slices import slice_masks
from model.contract import CLICK_TARGET_FEATURES, SEARCH_TARGET_FEATURES
from model.data.columns import offsets
from model.data.requests import Requests
from model.data.timelines import Timelines


def _histories(clicks, searches):
    empty = np.zeros(0, np.int32)
    return dict(
        users=np.arange(2, len(clicks) + 2, dtype=np.int32),
        rec_items=np.full(sum(clicks), 2, np.int32),
        rec_offsets=offsets(clicks),
        search_offsets=offsets(searches),
        search_words=empty,
        word_offsets=np.zeros(sum(searches) + 1, np.int32),
        search_items=empty,
        item_offsets=np.zeros(sum(searches) + 1, np.int32),
    )


def _requests(targets, clicks, searches):
    label = np.arange(len(targets), dtype=np.int32) % 2
    candidates = np.full((len(targets), 2), 9, np.int32)
    candidates[np.arange(len(targets)), label] = targets
    return Requests(**_histories(clicks, searches), candidates=candidates, label=label)


def _timelines(items):
    values = {**_histories([len(items)], [0]), "rec_items": np.array(items, np.int32)}
    zeros, none = np.zeros(len(items), np.int32), np.zeros(0, np.int32)
    of_clicks = dict.fromkeys(CLICK_TARGET_FEATURES, zeros)
    return Timelines(**values, **of_clicks, **dict.fromkeys(SEARCH_TARGET_FEATURES, none))


def _rows(mask):
    return np.flatnonzero(mask).tolist()


def test_every_slice_by_hand():
    # Item 2 has 3 of 8 clicks on known items; with 3 and 4, which have 2 each, it reaches half of them.
    timelines = _timelines([1] * 8 + [2, 2, 2, 3, 3, 4, 4, 5])
    requests = _requests(targets=[1, 2, 3, 4, 5, 7], clicks=[0, 1, 4, 5, 19, 20], searches=[0, 2, 3, 10, 0, 9])
    masks = slice_masks(requests, timelines)
    assert {name: _rows(mask) for name, mask in masks.items()} == {
        "all": [0, 1, 2, 3, 4, 5],
        "searches: none": [0, 4],
        "searches: some": [1, 2, 3, 5],
        "clicks in history: 0": [0],
        "clicks in history: 1 to 4": [1, 2],
        "clicks in history: 5 to 9": [3],
        "clicks in history: 10 to 19": [4],
        "clicks in history: 20 or more": [5],
        "searches in history: 0": [0, 4],
        "searches in history: 1 to 2": [1],
        "searches in history: 3 to 9": [2, 5],
        "searches in history: 10 or more": [3],
        "target: popular": [1, 2, 3],
        "target: rare": [4, 5],
        "target: new": [0],
    }


@pytest.mark.parametrize(("share", "popular"), [(0.3, [0]), (0.375, [0]), (0.38, [0, 1, 2]), (1.0, [0, 1, 2, 3])])
def test_the_head_is_as_large_as_its_share_wants(share, popular):
    timelines = _timelines([2, 2, 2, 3, 3, 4, 4, 5])
    requests = _requests(targets=[2, 3, 4, 5, 6], clicks=[1] * 5, searches=[0] * 5)
    assert _rows(slice_masks(requests, timelines, head_share=share)["target: popular"]) == popular


def test_bins_part_the_requests():
    rng = np.random.default_rng(0)
    requests = _requests(rng.integers(1, 8, 200), rng.integers(0, 40, 200), rng.integers(0, 15, 200))
    masks = slice_masks(requests, _timelines(rng.integers(1, 8, 50)))
    for title in ("searches: ", "clicks in history: ", "searches in history: ", "target: "):
        parts = [mask for name, mask in masks.items() if name.startswith(title)]
        np.testing.assert_array_equal(np.sum(parts, 0), 1)


@pytest.mark.parametrize("bins", [(), (1, 5), (0, 5, 5), (0, 5, 3)])
def test_bins_that_do_not_part_them_are_refused(bins):
    with pytest.raises(ValueError, match="Bins should begin at 0 and ascend"):
        slice_masks(_requests([2], [1], [0]), _timelines([2]), click_bins=bins)
