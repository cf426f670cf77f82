"""Users and what they do: feed batches in phases of a passing interest, and searches that announce it."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from synthetic_logs.demo.catalogue import ERRANDS, Catalogue, Ints

Bools = npt.NDArray[np.bool_]

DAY_MS: Final = 86_400_000
START_MS: Final = 1_684_738_200_000
"""2023-05-22 14:50 in Beijing, when KuaiSAR's log begins."""
PASSING, LASTING = 0.62, 0.23
"""Shares of clicks that follow the phase and the user's lasting interests; the rest follow popularity."""


class Feed(NamedTuple):
    """Recommended rows in order of time; rows of one batch share a timestamp. Arrays of `[rows]`."""

    user: Ints
    item: Ints
    timestamp: Ints
    click: Ints


class Sessions(NamedTuple):
    """Searches in order of time. Arrays of `[sessions]`; `errand` is -1 where it is about `subtopic`."""

    user: Ints
    timestamp: Ints
    subtopic: Ints
    errand: Ints


class _Batches(NamedTuple):
    user: Ints
    timestamp: Ints
    size: Ints
    starts_phase: Bools
    interest: Ints


def act(catalogue: Catalogue, rng: np.random.Generator) -> tuple[Feed, Sessions]:
    """Let every user browse and search.

    A user likes a few subtopics throughout. The feed comes in batches; for a run of batches, a phase, one passing
    interest draws most clicks. Most phases are announced by one or more searches shortly before their first batch,
    and now and then a search in between repeats the interest; others run an errand that no click follows.
    """
    settings = catalogue.settings
    lasting = np.searchsorted(catalogue.subtopic_cumulative, rng.random((settings.num_users, settings.interests)))
    batches = _batches(catalogue, lasting, rng)
    return _feed(catalogue, lasting, batches, rng), _sessions(catalogue, batches, rng)


def _batches(catalogue: Catalogue, lasting: Ints, rng: np.random.Generator) -> _Batches:
    settings = catalogue.settings
    spread = 0.8
    clicks = rng.lognormal(np.log(settings.clicks) - spread**2 / 2, spread, settings.num_users)
    count = np.maximum(1, np.rint(2 * clicks / 6)).astype(np.int64)  # 6 rows a batch on average, half of them clicked
    user = np.repeat(np.arange(settings.num_users), count)
    size = rng.integers(4, 9, size=len(user))
    # A batch every few minutes within visits, visits at random in the period; distinct times within a user.
    times = np.sort(user * 10.0 * settings.days + rng.random(len(user)) * settings.days) - user * 10.0 * settings.days
    timestamp = START_MS + (times * DAY_MS).astype(np.int64) // 1000 * 1000
    first = np.r_[True, user[1:] != user[:-1]]
    starts = first | (rng.random(len(user)) < 1 / settings.batches_a_phase)
    # A passing interest is near a lasting one half of the time: another subtopic of its topic.
    near = lasting[user, rng.integers(settings.interests, size=len(user))] // settings.subtopics * settings.subtopics
    near += rng.integers(settings.subtopics, size=len(user))
    anywhere = np.searchsorted(catalogue.subtopic_cumulative, rng.random(len(user)))
    drawn = np.where(rng.random(len(user)) < 0.5, near, anywhere)
    phase_start = np.maximum.accumulate(np.where(starts, np.arange(len(user)), 0))
    return _Batches(user, timestamp, size, starts, drawn[phase_start])


def _feed(catalogue: Catalogue, lasting: Ints, batches: _Batches, rng: np.random.Generator) -> Feed:
    batch = np.repeat(np.arange(len(batches.user)), batches.size)
    user, total = batches.user[batch], len(batch)
    click = (rng.random(total) < 0.5).astype(np.int64)
    kind = rng.random(total)
    kind[click == 0] = rng.random(int((click == 0).sum())) * 0.5 + 0.5  # what is shown in vain fits less well
    any_subtopic = np.searchsorted(catalogue.subtopic_cumulative, rng.random(total))
    subtopic = np.select(
        [kind < PASSING, kind < PASSING + LASTING],
        [batches.interest[batch], lasting[user, rng.integers(lasting.shape[1], size=total)]],
        any_subtopic,
    )
    return Feed(user, catalogue.feed(subtopic, rng), batches.timestamp[batch], click)


def _sessions(catalogue: Catalogue, batches: _Batches, rng: np.random.Generator) -> Sessions:
    settings = catalogue.settings
    announces = np.flatnonzero(batches.starts_phase & (rng.random(len(batches.user)) < settings.announced))
    repeats = np.flatnonzero(~batches.starts_phase & (rng.random(len(batches.user)) < 0.25))
    # Sessions come in clusters: 1 + geometric, seconds to a few minutes before the batch.
    about = np.repeat(np.r_[announces, repeats], np.r_[rng.geometric(0.62, len(announces)), np.ones_like(repeats)])
    errands = rng.poisson(settings.noise_searches, settings.num_users)
    errand_user = np.repeat(np.arange(settings.num_users), errands)
    errand_time = START_MS + rng.integers(settings.days * DAY_MS // 1000, size=len(errand_user)) * 1000
    user = np.r_[batches.user[about], errand_user]
    timestamp = np.r_[batches.timestamp[about] - rng.integers(5, 240, size=len(about)) * 1000, errand_time]
    subtopic = np.r_[batches.interest[about], np.full(len(errand_user), -1)]
    errand = np.r_[np.full(len(about), -1), rng.integers(ERRANDS, size=len(errand_user))]
    order = np.argsort(timestamp, kind="stable")
    return Sessions(user[order], timestamp[order], subtopic[order], errand[order])
