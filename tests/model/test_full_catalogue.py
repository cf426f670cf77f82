"""Ranks among the whole catalogue, against a brute force that scores everything at once, and clicks by hand."""

import dataclasses

import numpy as np
import pytest

from model.contract import CANDIDATES, UNKNOWN_ID
from model.data.windows import RequestWindows
from model.evaluation.full_catalogue import FullCatalogue
from model.lcr_ser import LcrSer
from tests.support.random_logs import random_logs, random_model, small_config


def _logs():
    """Some requests of unknown users, some with an unknown target, and two of one user."""
    timelines, _ = random_logs(seed=4)
    _, requests = random_logs(seed=5)  # of the same users, with other clicks and searches
    users, candidates = requests.users.copy(), requests.candidates.copy()
    users[:3] = UNKNOWN_ID
    users[10] = users[11]
    candidates[5, requests.label[5]] = UNKNOWN_ID
    return timelines, dataclasses.replace(requests, users=users, candidates=candidates)


def _clicks(log, row):
    """Items that a row clicked, in recommendations and in its searches."""
    found = set(log.rec_items[log.rec_offsets[row] : log.rec_offsets[row + 1]])
    for search in range(log.search_offsets[row], log.search_offsets[row + 1]):
        found |= set(log.search_items[log.item_offsets[search] : log.item_offsets[search + 1]])
    return found


def _clicked(requests, timelines, row, avoid):
    """Items that are no negatives of a request."""
    if avoid == "none":
        return set()
    found, user = _clicks(requests, row), requests.users[row]
    if user != UNKNOWN_ID:
        found = found.union(*(_clicks(timelines, other) for other in np.flatnonzero(timelines.users == user)))
        if avoid == "whole_log":
            others = np.flatnonzero(requests.users == user)
            found = found.union(*(_clicks(requests, other) for other in others))
            found |= {requests.candidates[other, requests.label[other]] for other in others}
    return found


def _brute_force(model, requests, timelines, avoid):
    catalogue = np.unique(timelines.rec_items)
    rows = np.arange(len(requests), dtype=np.int32)
    positives = requests.candidates[rows, requests.label]
    items = np.concatenate([positives[:, None], np.tile(catalogue, (len(rows), 1))], 1)
    batch, _ = RequestWindows(requests, model.config)(rows)
    scores = model({**batch, CANDIDATES: items}).numpy()
    ranks = []
    for row, line in zip(rows, scores, strict=True):
        left_out = _clicked(requests, timelines, row, avoid) | {positives[row]}
        kept = [column + 1 for column, item in enumerate(catalogue) if item not in left_out]
        ranks.append(1 + (len(kept) if positives[row] == UNKNOWN_ID else int((line[kept] >= line[0]).sum())))
    return np.array(ranks)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("aggregation", ["target", "mean"])
@pytest.mark.parametrize("avoid", ["past", "whole_log", "none"])
def test_ranks_equal_the_brute_force(avoid, aggregation):
    timelines, requests = _logs()
    model = random_model(aggregation=aggregation)
    expected = _brute_force(model, requests, timelines, avoid)
    assert len(np.unique(expected)) > 10
    found = FullCatalogue(model, requests, timelines, avoid=avoid, batch_size=32, block_size=25)
    np.testing.assert_array_equal(found.ranks(), expected)


@pytest.mark.slow
@pytest.mark.long
def test_sizes_of_batches_and_blocks_do_not_matter():
    timelines, requests = _logs()
    one, other = (
        FullCatalogue(random_model(), requests, timelines, batch_size=batch_size, block_size=block_size)
        for batch_size, block_size in ((7, 6), (256, 1024))
    )
    np.testing.assert_array_equal(one.ranks(), other.ranks())


@pytest.mark.usefixtures("eager")
def test_what_is_avoided_differs():
    timelines, requests = _logs()
    ranks = {
        avoid: FullCatalogue(random_model(), requests, timelines, avoid=avoid).ranks()
        for avoid in ("past", "whole_log", "none")
    }
    assert ranks["none"].sum() > ranks["past"].sum() > ranks["whole_log"].sum()


@pytest.mark.usefixtures("eager")
def test_a_model_without_an_opinion_ranks_every_positive_last():
    timelines, requests = _logs()
    model = LcrSer(small_config())
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    found = FullCatalogue(model, requests, timelines, avoid="none", batch_size=32, block_size=25)
    known = np.isin(found.positives, found.catalogue)
    np.testing.assert_array_equal(found.ranks()[known], len(found.catalogue))


def test_requests_and_items_are_needed():
    timelines, requests = _logs()
    unknown = dataclasses.replace(timelines, rec_items=np.full_like(timelines.rec_items, UNKNOWN_ID))
    with pytest.raises(ValueError, match="should not be empty"):
        FullCatalogue(random_model(), requests, unknown)
