"""Everything that a block of users does. Users are independent: a block yields its rows and no others."""

from typing import NamedTuple

import numpy as np

from synthetic_logs.simulator.activity import Activity, activity
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.clock import Times, times
from synthetic_logs.simulator.draws import Ints
from synthetic_logs.simulator.feed import Feed, feed
from synthetic_logs.simulator.interests import Batches, Searches, interests
from synthetic_logs.simulator.results import Results, disorder, queries, results
from synthetic_logs.simulator.truth import Relevant, relevant


class Block(NamedTuple):
    """A block of n users.

    Attributes:
        active: the users.
        batches, searches, times: their requests, each kind by user and in order of time.
        feed, results: the rows of both interaction files.
        words, widths: words of each search, `[searches, W]`, and how many of them are typed.
        relevant: which searches bear on which clicks.
    """

    active: Activity
    batches: Batches
    searches: Searches
    times: Times
    feed: Feed
    results: Results
    words: Ints
    widths: Ints
    relevant: Relevant

    @property
    def rows(self) -> Ints:
        """Rows of each user in both files, `[n]`."""
        users = len(self.active.user)
        searched = np.bincount(self.searches.row[self.results.search], minlength=users)
        return np.bincount(self.feed.row, minlength=users) + searched


def make_block(catalogue: Catalogue, first: int, count: int) -> Block:
    """Let `count` users act, from number `first` on, counted from 0."""
    active = activity(catalogue, np.arange(first, first + count))
    batches, searches, lasting = interests(catalogue, active)
    clock = times(catalogue, active, batches, searches)
    by_time = np.lexsort((clock.searches, searches.row))
    searches = Searches._make(column[by_time] for column in searches)
    clock = Times(clock.batches, clock.searches[by_time])
    shown = feed(catalogue, active, batches, lasting)
    found = disorder(catalogue, active, searches, results(catalogue, active, searches))
    return Block(
        active,
        batches,
        searches,
        clock,
        shown,
        found,
        *queries(catalogue, active, searches),
        relevant(shown, searches, clock),
    )
