"""How much each user browses and searches."""

from typing import Final, NamedTuple

import numpy as np

from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Floats, Ints

BATCH_ROWS: Final = (4, 8)
"""Rows that share a timestamp, least and most, all equally likely [assumption; that rows share them: KuaiSAR]."""
MOST_TIMES_THE_MEAN: Final = 12.0
"""No user has more rows than so many times the mean of the level [assumption]."""
MOST_SEARCHES: Final = 4095

REC_LEVELS: Final = ((0.16, 357.0, 146.0), (0.26, 557.0, 153.0), (0.34, 650.0, 192.0), (0.24, 604.0, 281.0))
"""Levels of `reco_active_level`: share of users [fitted], recommended and result rows a user [KuaiSAR-large, plot]."""
SEARCH_LEVELS: Final = (
    (0.48, 678.0, 147.0),
    (0.06, 318.0, 174.0),
    (0.10, 460.0, 101.0),
    (0.20, 541.0, 134.0),
    (0.09, 437.0, 236.0),
    (0.04, 399.0, 441.0),
    (0.03, 594.0, 1228.0),
)
"""The same for `search_active_level`. The two levels of a user are drawn independently [assumption]."""


class Activity(NamedTuple):
    """What a block of n users does in numbers. Arrays of `[n]`.

    Attributes:
        user: numbers of the users, from 0.
        rec_level, search_level: levels of activity.
        batches: feed batches, at least 1.
        searches: search sessions, at least 1: KuaiSAR kept users of both services.
    """

    user: Ints
    rec_level: Ints
    search_level: Ints
    batches: Ints
    searches: Ints


def activity(catalogue: Catalogue, user: Ints) -> Activity:
    """Draw the levels and numbers of users."""
    settings, draws = catalogue.settings, catalogue.draws
    rec_level = draws.choice("user/rec level", tuple(share for share, *_ in REC_LEVELS), user)
    search_level = draws.choice("user/search level", tuple(share for share, *_ in SEARCH_LEVELS), user)
    batches = settings.rec_rows / (sum(BATCH_ROWS) / 2)
    rec = _level_factor(1, rec_level, search_level) * (batches - 1)
    search = _level_factor(2, rec_level, search_level) * (settings.searches - 1)
    return Activity(
        user,
        rec_level,
        search_level,
        1 + _count(catalogue, "user/batches", user, rec),
        np.minimum(MOST_SEARCHES, 1 + _count(catalogue, "user/searches", user, search)),
    )


def batch_sizes(catalogue: Catalogue, user: Ints, batch: Ints) -> Ints:
    """Draw the rows of batches."""
    least, most = BATCH_ROWS
    return least + catalogue.draws.integers("batch/size", most - least + 1, user, batch)


def _level_factor(column: int, rec_level: Ints, search_level: Ints) -> Floats:
    # Both levels scale a user's mean; independent levels then keep the published ratios between levels.
    factors = []
    for levels, level in ((REC_LEVELS, rec_level), (SEARCH_LEVELS, search_level)):
        mean = sum(row[0] * row[column] for row in levels)
        factors.append(np.array([row[column] / mean for row in levels])[level])
    return factors[0] * factors[1]


def _count(catalogue: Catalogue, what: str, user: Ints, mean: Floats) -> Ints:
    spread = catalogue.settings.spread
    times = np.exp(spread * catalogue.draws.normal(what, user) - spread**2 / 2)
    # A uniform draw before rounding down keeps the mean.
    rounding = catalogue.draws.uniform(f"{what}/rounding", user)
    return np.floor(mean * np.minimum(times, MOST_TIMES_THE_MEAN) + rounding).astype(np.int64)
