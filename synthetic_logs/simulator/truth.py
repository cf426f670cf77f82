"""Which searches bear on which clicks: what the simulator knows and no log tells."""

from typing import NamedTuple

import numpy as np

from synthetic_logs.simulator.clock import START_MS, Times
from synthetic_logs.simulator.draws import Ints
from synthetic_logs.simulator.feed import PASSING, Feed
from synthetic_logs.simulator.interests import ERRAND, Searches, counted


class Relevant(NamedTuple):
    """Clicks of a block on which a search bears.

    Attributes:
        click: places in the feed, `[clicks]`.
        counts: searches that bear on each, `[clicks]`.
        search: places of those searches, click by click and in order of time, `[sum of counts]`.
    """

    click: Ints
    counts: Ints
    search: Ints


def relevant(feed: Feed, searches: Searches, times: Times) -> Relevant:
    """Match clicks and searches.

    A search bears on a click if the interest that drew the click is what the search was about, and the same user made
    it strictly earlier. Clicks drawn by lasting interests or by popularity have none.
    """
    topical = np.flatnonzero(searches.kind != ERRAND)
    subjects = 1 + max(int(feed.subject.max(initial=0)), int(searches.subject[topical].max(initial=0)))
    elapsed = times.searches[topical] - START_MS
    scale = 1 << 32  # above the milliseconds of any log
    code = (searches.row[topical] * subjects + searches.subject[topical]) * scale + elapsed
    order = np.argsort(code, kind="stable")
    code, by_code = code[order], topical[order]
    click = np.flatnonzero(feed.click & (feed.cause == PASSING))
    about = (feed.row[click] * subjects + feed.subject[click]) * scale
    first = np.searchsorted(code, about)
    count = np.searchsorted(code, about + times.batches[feed.batch[click]] - START_MS) - first
    click, first, count = click[count > 0], first[count > 0], count[count > 0]
    row, number = counted(count)
    return Relevant(click, count, by_code[first[row] + number])
