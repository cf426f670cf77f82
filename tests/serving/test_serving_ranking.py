import random

import pytest
from toy_servable import expected_score

from serving.request import RankRequest, Search


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
