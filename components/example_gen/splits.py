"""Cuts timelines into what is trained on and what is asked."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.example_gen.settings import LogSettings, milliseconds
from components.example_gen.timeline import Ints, TimelineColumns

TRAIN, EVAL, TEST = "train", "eval", "test"
SPLITS = (TRAIN, EVAL, TEST)
_DAY = 86_400_000
Bools = npt.NDArray[np.bool_]


class Cuts(NamedTuple):
    """Times, in unix milliseconds, at which a split's eval and test parts begin."""

    eval: int
    test: int


class Split(NamedTuple):
    """What becomes of E clicks and S searches, and of the events before each.

    Attributes:
        user: index of each click's user, `[E]`.
        clicks_before, searches_before: of the same user, strictly earlier than each click, `[E]`.
        is_target: training targets, `[E]`.
        search_clicks_before, search_searches_before: of the same user, strictly earlier than each search, `[S]`.
        search_is_target: searches whose clicked items are training targets, `[S]`.
        train_clicks, train_searches: how many of a user's first events are trained on, `[U]`.
        requests: places among the clicks of the targets of eval and test, in order, `[R]`.
        is_test: which of these are of the test split, `[R]`.
        without_history: places of the targets of eval and test that nothing precedes, and that are not asked, `[N]`.
        part: each click's place in `SPLITS`, `[E]`.
    """

    user: Ints
    clicks_before: Ints
    searches_before: Ints
    is_target: Bools
    search_clicks_before: Ints
    search_searches_before: Ints
    search_is_target: Bools
    train_clicks: Ints
    train_searches: Ints
    requests: Ints
    is_test: Bools
    without_history: Ints
    part: Ints


def time_cuts(first: int, last: int, settings: LogSettings) -> Cuts:
    """Place the cuts of a split in time, in the period from the first to the last click."""
    if settings.split == "time_points":
        return Cuts(*(milliseconds(name, getattr(settings, name)) for name in ("eval_from", "test_from")))
    if settings.split == "days":
        test, evaluated = settings.test_days * _DAY, settings.eval_days * _DAY
    else:
        test, evaluated = (share * (last - first) for share in (settings.test_share, settings.eval_share))
    return Cuts(math.ceil(last - test - evaluated), math.ceil(last - test))


def split_timelines(timelines: TimelineColumns, cuts: Cuts | None) -> Split:
    """Split all users.

    Leave-one-out: of three clicks or more, the last is the test target and the second last the eval target; users
    with fewer are trained on whole. By time: each click from a cut on is a target. Either way the training part
    holds what lies before the first eval target or cut, searches strictly earlier, and a target sees events of both
    kinds strictly earlier than itself, so that neither a tie nor the search that led to it gives it away. A search of
    the training part is a target if something was clicked in it, and it has words or an event strictly earlier: what
    stands for a click where there was none is nothing to learn.

    Args:
        timelines: of the users.
        cuts: of a split in time; None for leave-one-out.
    """
    begins, count = timelines.click_offsets[:-1], np.diff(timelines.click_offsets)
    user = np.repeat(np.arange(len(count)), count)
    times, search_times = (events["timestamp"].to_numpy() for events in (timelines.clicks, timelines.searches))
    clicks_before = _strictly_before(user, times, times, timelines.click_offsets)
    searches_before = _strictly_before(user, times, search_times, timelines.search_offsets)
    if cuts is None:
        long = count >= 3
        first_eval, first_test = (np.where(long, count - rest, count) for rest in (2, 1))
        train_searches = np.diff(timelines.search_offsets)
        train_searches[long] = searches_before[begins[long] + first_eval[long]]
    else:
        first_eval, first_test = (_count(times < cut, timelines.click_offsets) for cut in cuts)
        train_searches = _count(search_times < cuts.eval, timelines.search_offsets)
    place = np.arange(len(user)) - begins[user]
    trained, has_history = place < first_eval[user], (clicks_before > 0) | (searches_before > 0)
    part = np.where(trained, 0, np.where(place < first_test[user], 1, 2))
    requests = np.flatnonzero(~trained & has_history)
    return Split(
        user,
        clicks_before,
        searches_before,
        trained & has_history,
        *_search_targets(timelines, train_searches),
        first_eval,
        train_searches,
        requests,
        part[requests] == 2,
        np.flatnonzero(~trained & ~has_history),
        part,
    )


def _search_targets(timelines: TimelineColumns, train_searches: Ints) -> tuple[Ints, Ints, Bools]:
    """Clicks and searches strictly earlier than each search, and which of the training part are targets."""
    begins, searches = timelines.search_offsets, timelines.searches
    user = np.repeat(np.arange(len(train_searches)), np.diff(begins))
    times, click_times = (events["timestamp"].to_numpy() for events in (searches, timelines.clicks))
    clicks_before = _strictly_before(user, times, click_times, timelines.click_offsets)
    searches_before = _strictly_before(user, times, times, begins)
    has_words, has_items = ((searches[name].list.len() > 0).to_numpy() for name in ("words", "items"))
    trained = np.arange(len(user)) - begins[user] < train_searches[user]
    told = has_words | (clicks_before > 0) | (searches_before > 0)
    return clicks_before, searches_before, trained & searches["clicked"].to_numpy() & has_items & told


def _strictly_before(user: Ints, times: Ints, other_times: Ints, other_offsets: Ints) -> Ints:
    """For each (user, time), the same user's other events that are strictly earlier."""
    distinct = np.unique(np.concatenate([times, other_times]))
    other_user = np.repeat(np.arange(len(other_offsets) - 1), np.diff(other_offsets))
    # Users one after another on one axis, the times of each as ranks: sorted as the events are.
    wanted, present = (
        owner * np.int64(len(distinct)) + np.searchsorted(distinct, when)
        for owner, when in ((user, times), (other_user, other_times))
    )
    return np.searchsorted(present, wanted) - other_offsets[user]


def _count(mask: Bools, offsets: Ints) -> Ints:
    """True values of each user."""
    total = np.concatenate([[0], np.cumsum(mask)])
    return total[offsets[1:]] - total[offsets[:-1]]
