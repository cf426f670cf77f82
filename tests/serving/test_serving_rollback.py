"""A rollback while clients ask: the earlier version takes over, and the newer one can come back."""

import pytest

from components.pusher.rollback import rollback
from serving.client.request import RankRequest, Search

REQUEST = RankRequest("u", ["a", "b"], ["i"], [Search(["w"], ["x"])])


@pytest.mark.long
def test_the_server_follows_a_rollback_and_its_undoing(client, push, until, model_dir):
    for version in (2, 3):
        push(version)
    until(lambda: client.rank(REQUEST).version == 3)
    rollback(model_dir)
    until(lambda: client.rank(REQUEST).version == 2)
    rollback(model_dir, 3)
    until(lambda: client.rank(REQUEST).version == 3)
    rollback(model_dir, 1)
    until(lambda: client.rank(REQUEST).version == 1)
    states = {3: "END", 2: "END", 1: "AVAILABLE"}
    until(lambda: {state.version: state.state for state in client.status()} == states)
