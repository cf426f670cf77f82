"""The client on the real servable behind the development server."""

from pathlib import Path

import pytest

from serving.client import History, RankingClient, RankRequest, Search

REQUEST = RankRequest(
    "u1",
    ["a", "c", "never seen", "b"],
    ["a", "b", "c", "d"],
    [Search(["red"]), Search(["blue", "shoe", "tall"], ["a", "b"]), Search(["red"], ["c"])],
)


@pytest.fixture(scope="module")
def client(exported_small, until):
    from serving.dev_server.server import RankingServer

    _, directory = exported_small
    with RankingServer(Path(directory).parent) as server, RankingClient(server.address, timeout=60.0) as connected:
        until(lambda: any(state.state == "AVAILABLE" for state in server.manager.states()))
        yield connected


def _scores(answer):
    return {row.item: row.score for row in answer.candidates}


@pytest.mark.slow
def test_a_request_is_ranked_in_company_as_alone_and_from_its_state(client):
    alone = client.rank(REQUEST)
    assert [row.rank for row in alone.candidates] == [1, 2, 3, 4]
    assert len(set(_scores(alone).values())) == 4
    company = RankRequest("u2", ["d"] * 7, ["b"] * 6, [Search(["w"] * 3, ["d"])] * 5)
    _, in_company = client.rank_batch([company, REQUEST])
    scored = client.score(client.encode(REQUEST.history), REQUEST.candidates)
    for other in (in_company, scored):
        assert [row.item for row in other.candidates] == [row.item for row in alone.candidates]
        assert _scores(other) == pytest.approx(_scores(alone), abs=1e-6)
    assert (scored.version, scored.encoded_anew) == (1, False)


@pytest.mark.slow
def test_a_user_without_history_is_ranked(client):
    answer = client.score(client.encode(History("nobody")), ["a", "b"])
    assert _scores(answer) == pytest.approx(_scores(client.rank(RankRequest("nobody", ["a", "b"]))), abs=1e-6)
