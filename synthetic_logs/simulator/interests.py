"""What users are after: lasting interests, phases of a passing one, and the searches about them."""

from typing import Final, NamedTuple

import numpy as np

from synthetic_logs.simulator.activity import Activity
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Bools, Ints

ANNOUNCES, REPEATS, ERRAND = 0, 1, 2
KINDS: Final = ("announces", "repeats", "errand")


class Batches(NamedTuple):
    """Feed batches of a block, by user and in order of time. Arrays of `[batches]`.

    Attributes:
        row: place of the user in the block.
        number: of the batch within the user.
        interest: the passing interest of its phase, a subtopic.
    """

    row: Ints
    number: Ints
    interest: Ints


class Searches(NamedTuple):
    """Search sessions of a block, by user. Arrays of `[searches]`.

    Attributes:
        row: place of the user in the block.
        number: of the search within the user.
        cluster: number of its cluster within the user: searches close in time about one subtopic.
        opens: whether it is the first of its cluster.
        anchor: number of the batch before which it is made; the number of batches where it is after the last.
        subject: the subtopic that it is about.
        kind: `ANNOUNCES`, `REPEATS` or `ERRAND`.
    """

    row: Ints
    number: Ints
    cluster: Ints
    opens: Bools
    anchor: Ints
    subject: Ints
    kind: Ints


class _Phases(NamedTuple):
    first: Ints  # place of each user's first phase
    counts: Ints  # phases of each user
    start: Ints  # number of the batch at which each phase starts
    interest: Ints


class _Clusters(NamedTuple):
    row: Ints
    number: Ints  # within the user
    kind: Ints  # as drawn: one drawn as repeating may turn out to stand at the start of a phase


def interests(catalogue: Catalogue, active: Activity) -> tuple[Batches, Searches, Ints]:
    """Draw what each batch and each search of a block of n users is about.

    Returns:
        Batches, searches, and the lasting interests `[n, interests]`.
    """
    settings, draws = catalogue.settings, catalogue.draws
    lasting = catalogue.popular_subject(
        draws.uniform("user/lasting", active.user[:, None], np.arange(settings.interests)[None])
    )
    row, number = counted(active.searches)
    opens = (number == 0) | (draws.uniform("search/opens", active.user[row], number) < settings.cluster_start)
    cluster = np.cumsum(opens) - 1
    first_cluster = np.cumsum(np.bincount(row[opens])) - np.bincount(row[opens])
    within = np.arange(cluster[-1] + 1) - first_cluster[row[opens]]
    kind = draws.choice(
        "cluster/kind",
        (settings.announcing, settings.repeating, 1 - settings.announcing - settings.repeating),
        active.user[row[opens]],
        within,
    )
    clusters = _Clusters(row[opens], within, kind)
    phases = _phases(catalogue, active, lasting, np.bincount(row[opens][kind == ANNOUNCES], minlength=len(active.user)))
    batch_row, batch = counted(active.batches)
    batches = Batches(batch_row, batch, phases.interest[_phase_of(phases, batch_row, batch)])
    anchor, subject, fact = _anchors(catalogue, active, phases, clusters)
    searches = Searches(row, number, within[cluster], opens, anchor[cluster], subject[cluster], fact[cluster])
    return batches, searches, lasting


def counted(counts: Ints) -> tuple[Ints, Ints]:
    """Spell counts out: for counts (2, 1), rows (0, 0, 1) and numbers (0, 1, 0)."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - (np.cumsum(counts) - counts)[row]


def _phases(catalogue: Catalogue, active: Activity, lasting: Ints, announcing: Ints) -> _Phases:
    # A user who searches more has more passing interests, so that the share of announced phases is as set.
    settings, draws = catalogue.settings, catalogue.draws
    wanted = np.floor(announcing / settings.announced + draws.uniform("user/phases", active.user)).astype(np.int64)
    count = np.clip(wanted, 1, np.maximum(1, active.batches // 2))
    row, number = counted(count)
    user = active.user[row]
    jitter = np.where(number == 0, 0.0, 0.8 * draws.uniform("phase/start", user, number))
    start = ((number + jitter) * active.batches[row] / count[row]).astype(np.int64)
    liked = lasting[row, draws.integers("phase/liked", settings.interests, user, number)]
    step = 1 + draws.integers("phase/step", settings.subtopics - 1, user, number)
    near = liked - liked % settings.subtopics + (liked + step) % settings.subtopics
    anywhere = catalogue.popular_subject(draws.uniform("phase/anywhere", user, number))
    interest = np.where(draws.uniform("phase/near", user, number) < settings.near, near, anywhere)
    return _Phases(np.cumsum(count) - count, count, start, interest)


def _phase_of(phases: _Phases, row: Ints, batch: Ints) -> Ints:
    # Places of the phases to which batches of users belong: the last that starts at or before the batch.
    scale = 1 << 32
    starts = np.repeat(np.arange(len(phases.counts)), phases.counts) * scale + phases.start
    return np.searchsorted(starts, row * scale + batch, side="right") - 1


def _anchors(catalogue: Catalogue, active: Activity, phases: _Phases, clusters: _Clusters) -> tuple[Ints, Ints, Ints]:
    # Before which batch each cluster is searched, what about, and what it turns out to be.
    row, within, kind = clusters
    settings, draws = catalogue.settings, catalogue.draws
    user = active.user[row]
    announces = kind == ANNOUNCES
    rank = np.cumsum(announces) - 1
    first = np.searchsorted(row[announces], row)  # announcing clusters of earlier users
    total = np.maximum(1, np.bincount(row[announces], minlength=len(active.user)))[row]
    offset = draws.uniform("user/announced", active.user)[row]
    spread = np.clip(((rank - first + offset) * phases.counts[row] / total).astype(np.int64), 0, phases.counts[row] - 1)
    anywhere = draws.integers("cluster/anchor", active.batches[row] + (kind == ERRAND), user, within)
    anchor = np.where(announces, phases.start[phases.first[row] + spread], anywhere)
    phase = _phase_of(phases, row, np.minimum(anchor, active.batches[row] - 1))
    errands = settings.errand_topics * settings.subtopics
    errand = settings.recommended_subjects + draws.integers("cluster/errand", errands, user, within)
    subject = np.where(kind == ERRAND, errand, phases.interest[phase])
    fact = np.where(kind == ERRAND, ERRAND, np.where(anchor == phases.start[phase], ANNOUNCES, REPEATS))
    return anchor, subject, fact
