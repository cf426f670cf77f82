"""Cuts a timeline into what is trained on and what is asked."""

from typing import NamedTuple

import numpy as np

from components.example_gen.events import Click, Search, Timeline
from components.example_gen.settings import LogSettings
from components.example_gen.timeline import searches_before

TRAIN, EVAL, TEST = "train", "eval", "test"
SPLITS = (TRAIN, EVAL, TEST)


class Cuts(NamedTuple):
    """Times, in unix milliseconds, at which a time split's eval and test parts begin."""

    eval: float
    test: float


class Training(NamedTuple):
    """The part of a timeline that is trained on.

    `searches_before` and `is_target` have one entry a click.
    """

    clicks: list[Click]
    searches: list[Search]
    searches_before: list[int]
    is_target: list[int]


class Request(NamedTuple):
    """A click to predict, with the newest events before it, oldest first."""

    split: str
    target: Click
    clicks: list[Click]
    searches: list[Search]


class UserSplit(NamedTuple):
    """One user's part in the three splits; `without_history` counts the targets that give no request."""

    training: Training
    requests: list[Request]
    without_history: int


def time_cuts(first: float, last: float, settings: LogSettings) -> Cuts:
    """Place the cuts of a time split, linearly in the period from the first to the last click."""
    period = last - first
    return Cuts(last - period * (settings.test_share + settings.eval_share), last - period * settings.test_share)


def split_user(timeline: Timeline, settings: LogSettings, cuts: Cuts | None) -> UserSplit:
    """Split one user.

    Leave-one-out: of three clicks or more, the last is the test target and the second last the eval target; users
    with fewer are trained on whole. By time: each click after a cut is a target. Either way the training part
    holds what lies before the first eval target or cut, searches strictly earlier, and a request holds the clicks
    before its target in order and the searches strictly earlier.

    Args:
        timeline: of the user.
        settings: of the split and of the lengths Lr and Ls.
        cuts: of the time split; None for leave-one-out.
    """
    clicks, searches = timeline.clicks, timeline.searches
    before = searches_before(clicks, searches)
    if cuts is None:
        first_eval, first_test = (len(clicks) - 2, len(clicks) - 1) if len(clicks) >= 3 else (len(clicks),) * 2
        kept = before[first_eval] if first_eval < len(clicks) else len(searches)
    else:
        times = [click.timestamp for click in clicks]
        first_eval, first_test = np.searchsorted(times, cuts, side="left").tolist()
        kept = int(np.searchsorted([search.timestamp for search in searches], cuts.eval, side="left"))
    requests = [
        Request(EVAL if index < first_test else TEST, clicks[index],
                clicks[max(0, index - settings.rec_length):index],
                searches[max(0, before[index] - settings.search_length):before[index]])
        for index in range(first_eval, len(clicks))
    ]
    asked = [request for request in requests if request.clicks or request.searches]
    targets = [int(index > 0 or count > 0) for index, count in enumerate(before[:first_eval])]
    training = Training(clicks[:first_eval], searches[:kept], before[:first_eval], targets)
    return UserSplit(training, asked, len(requests) - len(asked))
