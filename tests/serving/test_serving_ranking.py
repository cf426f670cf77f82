import math
import random

import grpc
import pytest

from serving.client.client import RankingError
from serving.client.request import RankRequest, Search
from tests.support.toy_servable import NOBODY, expected_score


def _request(seed, candidates):
    random.seed(seed)
    return RankRequest(
        f"user-{seed}",
        [f"item-{random.randrange(500)}-{column}" for column in range(candidates)],
        [f"item-{random.randrange(500)}" for _ in range(seed)],
        [Search([f"word-{i}-{seed}"] * (1 + i), [f"item-{i}"] * (i % 3)) for i in range(2 * seed)],
    )


def _check(answer, request, version=1):
    expected = {item: expected_score(version, request, item) for item in request.candidates}
    assert {row.item: row.score for row in answer.candidates} == pytest.approx(expected)
    assert [row.rank for row in answer.candidates] == list(range(1, len(request.candidates) + 1))
    assert [row.item for row in answer.candidates] == sorted(expected, key=lambda item: -expected[item])
    assert answer.version == version


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_ranking_is_what_the_model_says(still_client, seed):
    request = _request(seed, candidates=5)
    _check(still_client.rank(request), request)


def test_batch_gives_each_user_what_it_gets_alone(still_client):
    requests = [_request(seed, candidates=1 + seed) for seed in range(4)]
    for answer, request in zip(still_client.rank_batch(requests), requests, strict=True):
        _check(answer, request)


def test_a_request_that_cannot_be_scored_says_so_and_its_neighbours_are_answered(still_client):
    unscored, good = RankRequest(NOBODY, ["a", "b"]), _request(2, candidates=3)
    first, second, third = still_client.rank_batch([good, unscored, good])
    _check(first, good)
    _check(third, good)
    assert (first.scored, second.scored, third.scored) == (True, False, True)
    assert [row.item for row in second.candidates] == ["a", "b"]
    assert all(math.isnan(row.score) for row in second.candidates)
    with pytest.raises(RankingError, match="version 1 gives user 'nobody' scores of NaN; serve another") as caught:
        still_client.rank(unscored)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_no_requests_get_no_answers(still_client):
    assert still_client.rank_batch([]) == []
