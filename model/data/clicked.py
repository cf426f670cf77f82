"""What users of requests clicked, for leaving it out of their negatives."""

from typing import Literal

import numpy as np

from model.contract import FIRST_KNOWN_ID
from model.data.columns import Array
from model.data.requests import Requests
from model.data.timelines import Histories, Timelines

Avoid = Literal["past", "whole_log", "none"]


def clicked_pairs(requests: Requests, timelines: Timelines, rows: Array, avoid: Avoid) -> tuple[Array, Array]:
    """Items that the users of some requests clicked, in recommendations or in a search.

    Users that no vocabulary holds share an id, so that of them only the request's own history is known.

    Args:
        requests: of one split.
        timelines: the training log.
        rows: of the requests that are asked for, `[B]`.
        avoid: `past` takes the training log and the request's history, `whole_log` the other requests of the split too,
            with their positives; `none` takes nothing.

    Returns:
        Place in `rows` and item, `[P]` each; a pair may occur several times.
    """
    if avoid == "none":
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    users = requests.users[rows]
    parts = [_lists(*clicks, np.arange(len(rows)), rows) for clicks in _clicks(requests)]
    parts += [_of_users(users, timelines.users, *clicks) for clicks in _clicks(timelines)]
    if avoid == "whole_log":
        positives = requests.candidates[np.arange(len(requests)), requests.label], np.arange(len(requests) + 1)
        parts += [_of_users(users, requests.users, *clicks) for clicks in (*_clicks(requests), positives)]
    places, items = (np.concatenate(column) for column in zip(*parts, strict=True))
    return places, items


def _clicks(log: Histories) -> tuple[tuple[Array, Array], ...]:
    """Items clicked in recommendations and in searches, each with where those of a row begin."""
    return (log.rec_items, log.rec_offsets), (log.search_items, log.search_item_offsets)


def _of_users(users: Array, owners: Array, values: Array, offsets: Array) -> tuple[Array, Array]:
    """The lists of all rows whose owner is the user, for known users."""
    order = np.argsort(owners, kind="stable")
    begins, ends = (np.searchsorted(owners[order], users, side=side) for side in ("left", "right"))
    counts = np.where(users >= FIRST_KNOWN_ID, ends - begins, 0)
    at, place = _runs(begins, counts)
    return _lists(values, offsets, at, order[place])


def _lists(values: Array, offsets: Array, at: Array, rows: Array) -> tuple[Array, Array]:
    """The values of `rows`, each with the entry of `at` that belongs to its row."""
    place, where = _runs(offsets[rows], offsets[rows + 1] - offsets[rows])
    return at[place], values[where]


def _runs(begins: Array, counts: Array) -> tuple[Array, Array]:
    """For each run of `counts` numbers from `begins` on: the run's number, and the numbers."""
    run = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    return run, begins[run] + within
