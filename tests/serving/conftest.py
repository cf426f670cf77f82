import os
import shutil
import time

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Writes each toy version once."""
    from tests.support.toy_servable import export

    folder = tmp_path_factory.mktemp("exported")

    def path(version, **kwargs):
        target = folder / f"{version}-{'-'.join(kwargs.get('signatures', ()))}"
        if not target.exists():
            export(version, target, **kwargs)
        return target

    return path


@pytest.fixture
def model_dir(tmp_path):
    folder = tmp_path / "lcr_ser"
    folder.mkdir()
    return folder


@pytest.fixture
def push(exported, model_dir, tmp_path):
    """Publishes a version as a pusher does: complete at once."""

    def publish(version, damage=None, **kwargs):
        staged = tmp_path / f"staged-{version}"
        shutil.copytree(exported(version, **kwargs), staged)
        if damage:
            damage(staged)
        os.rename(staged, model_dir / str(version))
        return model_dir / str(version)

    return publish


@pytest.fixture(scope="session")
def until():
    def wait(condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the awaited state was not reached"
            time.sleep(0.02)

    return wait


@pytest.fixture
def server(model_dir, push, until):
    """A running server on a free port, with version 1."""
    from serving.dev_server.server import RankingServer

    push(1)
    with RankingServer(model_dir, poll_seconds=0.1) as running:
        until(lambda: any(state.state == "AVAILABLE" for state in running.manager.states()))
        yield running


@pytest.fixture
def client(server):
    from serving.client.client import RankingClient

    with RankingClient(server.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def still_server(exported, until, tmp_path_factory):
    """A server whose directory nobody changes, for the tests that only ask."""
    from serving.dev_server.server import RankingServer

    folder = tmp_path_factory.mktemp("still")
    shutil.copytree(exported(1), folder / "1")
    with RankingServer(folder) as running:
        until(lambda: any(state.state == "AVAILABLE" for state in running.manager.states()))
        yield running


@pytest.fixture
def still_client(still_server):
    from serving.client.client import RankingClient

    with RankingClient(still_server.address) as connected:
        yield connected
