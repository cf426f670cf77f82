"""One request to the pushed model: starts the development server, asks it over gRPC, stops it."""

import time
from pathlib import Path

from serving.client.answer import RankedCandidates
from serving.client.client import RankingClient, RankingError
from serving.client.request import RankRequest
from serving.dev_server.server import RankingServer
from serving.versions import find_versions

_WAIT_SECONDS = 0.05


class ScoreError(Exception):
    """The request was not answered; the message says why and what to do."""


def score_once(
    model_dir: Path, request: RankRequest, model_name: str = "lcr_ser", timeout: float = 120.0
) -> RankedCandidates:
    """Ranks the candidates of one request with the newest pushed version.

    Args:
        model_dir: directory of numeric version directories, as the Pusher writes it.
        request: the request.
        model_name: the model's name.
        timeout: seconds to wait for the model to be loaded, and again for its answer.

    Returns:
        the candidates, best first.

    Raises:
        ScoreError: nothing was pushed, the model cannot be loaded, or the request is refused.
    """
    if not find_versions(model_dir):
        raise ScoreError(f"{model_dir} holds no pushed model. Run `make run` first.")
    with (
        RankingServer(model_dir, model_name) as server,
        RankingClient(server.address, model_name, timeout) as client,
    ):
        try:
            _wait_until_available(server, model_dir, timeout)
            return client.rank(request)
        except RankingError as error:
            raise ScoreError(f"The server refused the request: {error}") from error


def _wait_until_available(server: RankingServer, model_dir: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if server.ready:
            return
        versions = find_versions(model_dir)
        errors = {state.version: state.error for state in server.manager.states() if state.error}
        if versions and versions.keys() <= errors.keys():
            newest = max(errors)
            raise ScoreError(f"{model_dir / str(newest)} cannot be loaded: {errors[newest]}. Run `make run` again.")
        time.sleep(_WAIT_SECONDS)
    raise ScoreError(f"No version in {model_dir} was loaded within {timeout:.0f} s.")
