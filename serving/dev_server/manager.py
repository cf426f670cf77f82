"""Which versions of a model answer: loads those that should, and keeps the old ones until the new ones are ready."""

import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from model.contract import SIGNATURE_RANK
from serving.dev_server.config import ModelConfig
from serving.dev_server.errors import RequestError, invalid, of_tensorflow
from serving.dev_server.metrics import LOAD_ATTEMPTS, LOAD_LATENCY, Metrics
from serving.dev_server.servable import LoadedVersion
from serving.versions import Fingerprint, choose_versions, find_versions

_LOGGER = logging.getLogger(__name__)
_REMEMBERED = 32
"""Versions that ended, whose states are told."""


@dataclass(frozen=True)
class VersionState:
    """A version with its state in TF Serving's words (LOADING, AVAILABLE, UNLOADING, END), and why it is not served."""

    version: int
    state: str
    code: grpc.StatusCode = grpc.StatusCode.OK
    error: str = ""


class ModelManager:
    """Follows a model's directory of versions, from any thread.

    Args:
        config: the model; its directory may appear later.
        required: signatures without which a version is refused.
        threads: of each version's session.
        metrics: where loads are counted.
    """

    def __init__(
        self, config: ModelConfig, required: Collection[str] = (SIGNATURE_RANK,), threads: int = 0,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self._required, self._threads, self._metrics = required, threads, metrics or Metrics()
        self._loaded: dict[int, LoadedVersion] = {}
        self._failed: dict[int, Fingerprint] = {}
        self._states: dict[int, VersionState] = {}
        self._lock, self._refreshing = threading.Lock(), threading.Lock()

    def refresh(self) -> None:
        """Look at the directory once; load the versions that should answer, then drop the others."""
        with self._refreshing:
            found = find_versions(self.config.base_path)
            # A failure is remembered with its files, so that a broken version is not tried again and again.
            self._failed = {version: files for version, files in self._failed.items() if version in found}
            while missing := [version for version in self._chosen(found) if version not in self._loaded]:
                if not self._load(missing[0], found[missing[0]]):
                    self._failed[missing[0]] = found[missing[0]]
            if chosen := self._chosen(found):
                for version in self._loaded.keys() - set(chosen):
                    self._unload(version)

    @contextlib.contextmanager
    def servable(self, spec: Any) -> Iterator[LoadedVersion]:
        """The version that a ModelSpec asks for, kept while it is used.

        Raises:
            RequestError: NOT_FOUND, if it is not loaded; INVALID_ARGUMENT for an unknown label.
        """
        with contextlib.ExitStack() as stack:
            with self._lock:
                loaded = stack.enter_context(self._pick(spec).held())
            yield loaded

    def states(self) -> list[VersionState]:
        """The states of the versions seen so far, newest first."""
        with self._lock:
            return [self._states[version] for version in sorted(self._states, reverse=True)]

    def close(self) -> None:
        """Unload all, once the calls that run are done."""
        with self._refreshing:
            for version in list(self._loaded):
                self._unload(version)

    def _chosen(self, found: dict[int, Fingerprint]) -> list[int]:
        return choose_versions(found, self._failed, self.config.policy)

    def _pick(self, spec: Any) -> LoadedVersion:
        match spec.WhichOneof("version_choice"):
            case "version":
                version, asked = spec.version.value, f"Specific({spec.name}, {spec.version.value})"
            case "version_label":
                if spec.version_label not in self.config.labels:
                    raise invalid(f"Unrecognized servable version label: {spec.version_label}")
                version = self.config.labels[spec.version_label]
                asked = f"Specific({spec.name}, {version})"
            case _:
                version, asked = max(self._loaded, default=-1), f"Latest({spec.name})"
        if version not in self._loaded:
            raise not_found(asked)
        return self._loaded[version]

    def _load(self, version: int, files: Fingerprint) -> bool:
        self._set(VersionState(version, "LOADING"))
        started, path = time.perf_counter(), str(files.path)
        try:
            servable = LoadedVersion(
                files.path,
                self.config.name,
                version,
                self._required,
                threads=self._threads,
                metrics=self._metrics,
            )
        except Exception as error:  # a damaged SavedModel fails in many ways, and none may stop the server
            failure = of_tensorflow(error)
            _LOGGER.warning("%s: version %d cannot be loaded: %s", self.config.name, version, failure.message)
            self._metrics.count(LOAD_ATTEMPTS, model_path=path, status="fail")
            self._set(VersionState(version, "END", failure.code, failure.message))
            return False
        self._metrics.count(LOAD_ATTEMPTS, model_path=path, status="success")
        self._metrics.count(LOAD_LATENCY, int((time.perf_counter() - started) * 1e6), model_path=path)
        with self._lock:
            self._loaded[version] = servable
        self._set(VersionState(version, "AVAILABLE"))
        return True

    def _unload(self, version: int) -> None:
        with self._lock:
            servable = self._loaded.pop(version)
        self._set(VersionState(version, "UNLOADING"))
        servable.close()
        self._set(VersionState(version, "END"))

    def _set(self, state: VersionState) -> None:
        with self._lock:
            self._states[state.version] = state
            ended = sorted(version for version, known in self._states.items() if known.state == "END")
            for old in ended[:-_REMEMBERED]:
                del self._states[old]


def not_found(asked: str) -> RequestError:
    """NOT_FOUND, in TF Serving's words."""
    return RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")
