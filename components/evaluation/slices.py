"""Slices of test requests: by what is known of the user, and by what is known of the target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation import names as names_of
from model.contract import FIRST_KNOWN_ID, UNKNOWN_ID
from model.data.requests import Requests
from model.data.timelines import Timelines

HEAD_SHARE = 0.5


def slice_masks(
    requests: Requests,
    timelines: Timelines,
    *,
    click_bins: Sequence[int] = names_of.CLICK_BINS,
    search_bins: Sequence[int] = names_of.SEARCH_BINS,
    head_share: float = HEAD_SHARE,
) -> dict[str, npt.NDArray[Any]]:
    """Which requests are in which slice.

    Histories are counted as they are stored, which is at most as long as the model looks back.

    Args:
        requests: of the test split.
        timelines: the training log, whose clicks say which items are popular.
        click_bins: least clicks of each bin of history length, ascending; the last bin has no end.
        search_bins: the same of searches in the history.
        head_share: popular are the most clicked items that together hold this share of the training clicks on known
            items; items that are clicked as often as the last of them are popular too.

    Returns:
        bool `[R]` by name: `all`; `searches: none` and `searches: some`; one for each bin; and `target: popular`,
        `target: rare` and `target: new`, which is one that the vocabulary does not hold. Slices may be empty.
    """
    clicks, searches = np.diff(requests.rec_offsets), np.diff(requests.search_offsets)
    target = requests.candidates[np.arange(len(requests)), requests.label]
    is_new, is_popular = target == UNKNOWN_ID, _popular(timelines, head_share, int(target.max(initial=0)))[target]
    return {
        names_of.ALL: np.ones(len(requests), bool),
        names_of.NO_SEARCHES: searches == 0,
        names_of.SOME_SEARCHES: searches > 0,
        **_bins(names_of.CLICKS, clicks, click_bins),
        **_bins(names_of.SEARCHES, searches, search_bins),
        names_of.POPULAR: is_popular,
        names_of.RARE: ~is_popular & ~is_new,
        names_of.NEW: is_new,
    }


def _bins(title: str, counts: npt.NDArray[Any], begins: Sequence[int]) -> dict[str, npt.NDArray[Any]]:
    """Masks of `begins[i] <= counts < begins[i + 1]`."""
    names = names_of.bin_names(title, begins)
    number = np.searchsorted(begins, counts, side="right") - 1
    return {name: number == at for at, name in enumerate(names)}


def _popular(timelines: Timelines, share: float, largest: int) -> npt.NDArray[Any]:
    """Whether each id is a popular item, bool `[at least largest + 1]`."""
    known = timelines.rec_items[timelines.rec_items >= FIRST_KNOWN_ID]
    counts = np.bincount(known, minlength=largest + 1)
    falling = np.sort(counts)[::-1]
    # The head ends with the first item that brings it to its share.
    last = int(np.searchsorted(np.cumsum(falling), share * len(known)))
    least = falling[min(last, len(falling) - 1)]
    return counts >= max(least, 1)
