"""When users do what they do: short gaps within a visit, long ones between."""

from typing import Final, NamedTuple

import numpy as np

from synthetic_logs.simulator.activity import Activity
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Bools, Floats, Ints
from synthetic_logs.simulator.interests import Batches, Searches

DAY_MS: Final = 86_400_000
START_MS: Final = 1_684_738_200_000
"""2023-05-22 14:50 in Beijing, when KuaiSAR's log begins."""
VISIT_GAP_S: Final = 1800.0
"""A longer gap ends a visit: the rule behind Qilin's transitions."""
_LEAST_GAP_S, _MEAN_GAP_S = 20.0, 240.0
"""Least and mean gap within a visit, exponential [assumption]."""
_LONG_GAPS: Final = 0.6
"""Share of the period that the least length of long gaps may take: very active users have longer visits instead."""


class Times(NamedTuple):
    """Timestamps of a block, unix milliseconds: `[batches]` and `[searches]`."""

    batches: Ints
    searches: Ints


def times(catalogue: Catalogue, active: Activity, batches: Batches, searches: Searches) -> Times:
    """Set the clock: a user's requests in order, with gaps that make the published shares of transitions.

    Two batches, or a batch and a search, follow each other within 30 minutes by chance (`visit_goes_on`, `switch`);
    searches before the same batch always do. Long gaps share what is left of the period, in exponential shares, so
    that visits are spread evenly over it: no rhythm of day and night [assumption].
    """
    row = np.r_[batches.row, searches.row]
    is_batch = np.arange(len(row)) < len(batches.row)
    anchor = np.r_[batches.number, searches.anchor]
    # By user, then searches before the batch that they precede, then in their own order.
    order = np.lexsort((np.r_[batches.number, searches.number], is_batch, anchor, row))
    row, is_batch = row[order], is_batch[order]
    first = np.r_[True, row[1:] != row[:-1]]
    place = np.arange(len(row)) - np.flatnonzero(first)[row]
    gaps = _gaps(catalogue, active, row, place, _within_visit(catalogue, active.user[row], place, is_batch))
    # In whole milliseconds, whose sums do not depend on the users before.
    milliseconds = np.rint(gaps * 1000).astype(np.int64)
    elapsed = np.cumsum(milliseconds)
    stamp = np.empty(len(row), np.int64)
    stamp[order] = START_MS + elapsed - (elapsed - milliseconds)[first][row]
    return Times(stamp[: len(batches.row)], stamp[len(batches.row) :])


def _within_visit(catalogue: Catalogue, user: Ints, place: Ints, is_batch: Bools) -> Bools:
    # Which requests come within 30 minutes of the one before.
    settings = catalogue.settings
    after_batch = np.r_[False, is_batch[:-1]]
    both_batches, both_searches = is_batch & after_batch, ~is_batch & ~after_batch
    chance = np.select([both_batches, both_searches], [settings.visit_goes_on, 1.0], settings.switch)
    longest = _LONG_GAPS * settings.days * DAY_MS / 1000 / VISIT_GAP_S
    _, users, requests = np.unique(user, return_inverse=True, return_counts=True)
    chance = np.maximum(chance, 1 - longest / requests[users])
    return (place > 0) & (catalogue.draws.uniform("request/short", user, place) < chance)


def _gaps(catalogue: Catalogue, active: Activity, row: Ints, place: Ints, short: Bools) -> Floats:
    # Seconds before each request of a block.
    draws, user = catalogue.draws, active.user
    period = catalogue.settings.days * DAY_MS / 1000
    within = np.minimum(
        _LEAST_GAP_S - np.log1p(-draws.uniform("request/gap", user[row], place)) * (_MEAN_GAP_S - _LEAST_GAP_S),
        VISIT_GAP_S - 1,
    )
    least = np.where(short, within, np.where(place == 0, 0.0, VISIT_GAP_S + 1))
    share = np.where(short, 0.0, -np.log1p(-draws.uniform("request/long gap", user[row], place)))
    after_last = -np.log1p(-draws.uniform("user/after last", user))
    least_total = np.bincount(row, least)
    # Only a user with requests for more than the whole period is squeezed into it.
    squeeze = np.minimum(1.0, 0.98 * period / np.maximum(least_total, 1.0))
    left = period - least_total * squeeze
    return least * squeeze[row] + share * (left / (np.bincount(row, share) + after_last))[row]
