"""Pushes to a file system that TFX's fileio reaches and that cannot rename a directory at once, such as `gs://`."""

import os
import shutil
import time
from pathlib import Path

from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components.common.versions import numbered
from components.pusher.layout import next_version
from components.pusher.local import Pushed
from components.pusher.manifest import MANIFEST_FILE, Facts, Manifest, file_table, model_fingerprint

_LAST = "saved_model.pb"
_ABANDONED_AFTER = 3600.0
"""Seconds after which a version that is still incomplete is taken for the rest of a killed push."""


def push(model_dir: Path, serving_dir: str, facts: Facts, keep: int) -> Pushed:
    """Make a model the newest version, unless it is that already.

    The manifest goes first and claims the number; `saved_model.pb`, without which nothing loads a version, goes last.
    There is no lock that all such file systems have: of two pushes within the moment between choosing a number and
    claiming it the first one fails, and may have written over a file of the second one, which its manifest then shows.

    Args:
        model_dir: a SavedModel on this machine.
        serving_dir: directory of numeric version directories.
        facts: where the model comes from.
        keep: how many versions stay, this one included.

    Raises:
        RuntimeError: another push claimed the same number.
    """
    fileio.makedirs(serving_dir)
    now = time.time()
    _remove_abandoned(serving_dir, now)
    files = file_table(model_dir)
    model = model_fingerprint(files)
    complete = _complete(serving_dir)
    newest = _manifest(os.path.join(serving_dir, str(complete[-1]))) if complete else None
    if newest is not None and newest.model == model:
        return Pushed(newest.version, f"unchanged: version {newest.version} is this model already")
    version = next_version(_numbers(serving_dir), now)
    target = os.path.join(serving_dir, str(version))
    manifest = Manifest(version, model, now, files, facts)
    io_utils.write_string_file(os.path.join(target, MANIFEST_FILE), manifest.to_json())
    for name in sorted(files.keys() - {_LAST}):
        _copy(model_dir / name, os.path.join(target, name))
    if _manifest(target) != manifest:
        raise RuntimeError(f"{target} was claimed by another push. This model was not pushed.")
    _copy(model_dir / _LAST, os.path.join(target, _LAST))
    for old in _complete(serving_dir)[:-keep]:
        _remove(os.path.join(serving_dir, str(old)))
    return Pushed(version)


def _copy(source: Path, target: str) -> None:
    fileio.makedirs(os.path.dirname(target))
    with open(source, "rb") as content, fileio.open(target, "wb") as copy:
        shutil.copyfileobj(content, copy, 2**20)


def _numbers(serving_dir: str) -> list[int]:
    return list(numbered(serving_dir, fileio.listdir, fileio.exists))


def _complete(serving_dir: str) -> list[int]:
    return [
        version for version in _numbers(serving_dir) if fileio.exists(os.path.join(serving_dir, str(version), _LAST))
    ]


def _manifest(version_dir: str) -> Manifest | None:
    path = os.path.join(version_dir, MANIFEST_FILE)
    return Manifest.from_json(io_utils.read_string_file(path)) if fileio.exists(path) else None


def _remove_abandoned(serving_dir: str, now: float) -> None:
    for version in set(_numbers(serving_dir)) - set(_complete(serving_dir)):
        path = os.path.join(serving_dir, str(version))
        manifest = _manifest(path)
        if manifest is not None and manifest.pushed_at < now - _ABANDONED_AFTER:
            fileio.rmtree(path)


def _remove(version_dir: str) -> None:
    # Without this file nothing loads the rest; it goes first, as it came last.
    fileio.remove(os.path.join(version_dir, _LAST))
    fileio.rmtree(version_dir)
