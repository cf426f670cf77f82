"""Which version answers: loads the newest, keeps the old one until the new one is ready."""

import logging
import threading
from collections.abc import Collection
from pathlib import Path

import grpc

from model.contract import SIGNATURE_RANK
from serving.client.status import VersionState
from serving.dev_server.errors import RequestError, trimmed
from serving.dev_server.servable import LoadedVersion
from serving.versions import Fingerprint, choose_version, find_versions

_LOGGER = logging.getLogger(__name__)
_REMEMBERED = 32


class ModelManager:
    """Follows a directory of versions.

    `refresh` is called by one thread; everything else by any.

    Args:
        name: the model's name in requests.
        model_dir: directory of numeric version directories; it may appear later.
        required: signatures without which a version is refused.
    """

    def __init__(self, name: str, model_dir: Path, required: Collection[str] = (SIGNATURE_RANK,)) -> None:
        self.name = name
        self._model_dir = model_dir
        self._required = required
        self._current: LoadedVersion | None = None
        self._failed: dict[int, Fingerprint] = {}
        self._states: dict[int, VersionState] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Look at the directory once; load the version that should answer, then drop the old one."""
        found = find_versions(self._model_dir)
        # A failure is remembered with its files, so that a broken version is not tried again and again.
        self._failed = {version: files for version, files in self._failed.items() if version in found}
        while (version := choose_version(found, self._failed)) is not None and version != self._version():
            if self._load(version, found[version].path):
                return
            self._failed[version] = found[version]

    def servable(self, version: int | None = None) -> LoadedVersion:
        """The loaded version.

        Raises:
            RequestError: NOT_FOUND, if nothing is loaded or another version is asked for.
        """
        current = self._current
        if current is None:
            message = f"model {self.name!r}: no version is loaded (ask GetModelStatus why)"
            raise RequestError(grpc.StatusCode.NOT_FOUND, message)
        if version is not None and version != current.version:
            message = f"model {self.name!r}: version {version} is not loaded; {current.version} is"
            raise RequestError(grpc.StatusCode.NOT_FOUND, message)
        return current

    def states(self) -> list[VersionState]:
        """The states of the versions seen so far, newest first."""
        with self._lock:
            return [self._states[version] for version in sorted(self._states, reverse=True)]

    def _version(self) -> int | None:
        return self._current.version if self._current else None

    def _load(self, version: int, path: Path) -> bool:
        self._set(version, "LOADING")
        try:
            servable = LoadedVersion(path, version, self._required)
        except Exception as error:  # a damaged SavedModel fails in many ways, and none may stop the server
            _LOGGER.warning("version %d cannot be loaded: %s", version, trimmed(error))
            self._set(version, "END", trimmed(error))
            return False
        previous, self._current = self._current, servable
        self._set(version, "AVAILABLE")
        if previous is not None:  # requests that hold it finish; then Python frees it
            self._set(previous.version, "END")
        return True

    def _set(self, version: int, state: str, error: str = "") -> None:
        with self._lock:
            self._states[version] = VersionState(version, state, error)
            ended = sorted(v for v, s in self._states.items() if s.state == "END")
            for old in ended[:-_REMEMBERED]:
                del self._states[old]
