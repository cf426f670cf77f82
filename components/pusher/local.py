"""Pushes to a directory of this machine: built aside, then one rename."""

import dataclasses
import hashlib
import os
import shutil
import time
from pathlib import Path

from components.common.versions import numbered
from components.pusher.layout import (
    live_versions,
    locked,
    next_version,
    staging_dir,
    sync,
    withdrawn_versions,
)
from components.pusher.manifest import (
    MANIFEST_FILE,
    Facts,
    Manifest,
    file_table,
    model_fingerprint,
    read_manifest,
)


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What came of a push.

    Attributes:
        version: that holds the model now; None where it is not served.
        reason: why nothing was written; empty after a push.
    """

    version: int | None
    reason: str = ""


def push(model_dir: Path, serving_dir: Path, facts: Facts, keep: int) -> Pushed:
    """Make a model the newest version, unless it is that already or was withdrawn.

    A reader sees the whole version or none of it, also when this process is killed or the power fails. Two pushes at
    once follow each other. What killed pushes left is removed.

    Args:
        model_dir: a SavedModel.
        serving_dir: directory of numeric version directories.
        facts: where the model comes from.
        keep: how many versions stay, this one included; withdrawn ones stay besides.

    Raises:
        RuntimeError: the model changed while it was copied.
    """
    with locked(serving_dir, "push"):
        staging = staging_dir(serving_dir)
        shutil.rmtree(staging, ignore_errors=True)
        files = file_table(model_dir)
        with locked(serving_dir, "versions"):  # a rollback moves what is read here
            known, taken = _known(serving_dir, model_fingerprint(files)), _taken(serving_dir)
        if known is not None:
            return known
        now = time.time()
        version = next_version(taken, now)
        manifest = Manifest(version, model_fingerprint(files), now, files, facts)
        _build(model_dir, staging / str(version), manifest)
        with locked(serving_dir, "versions"):
            os.rename(staging / str(version), serving_dir / str(version))
            # Out of the readers' sight by a rename too: a half deleted version is as bad as a half written one.
            for old, path in list(live_versions(serving_dir).items())[:-keep]:
                os.rename(path, staging / f"old-{old}")
            sync(serving_dir)
        shutil.rmtree(staging)
    return Pushed(version)


def _build(model_dir: Path, target: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        if copy_file(model_dir / name, target / name) != entry["sha256"]:
            raise RuntimeError(f"{model_dir / name} changed while it was copied. Nothing was pushed.")
    path = target / MANIFEST_FILE
    path.parent.mkdir(exist_ok=True)
    with open(path, "w") as file:
        file.write(manifest.to_json())
        file.flush()
        os.fsync(file.fileno())
    for directory in (target, *(path for path in target.rglob("*") if path.is_dir())):
        sync(directory)


def copy_file(source: Path, target: Path) -> str:
    """Copy one file through to the disk and give the SHA-256 of what was written."""
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as content, open(target, "xb") as copy:
        while block := content.read(2**20):
            copy.write(block)
            digest.update(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _known(serving_dir: Path, model: str) -> Pushed | None:
    live, withdrawn = live_versions(serving_dir), withdrawn_versions(serving_dir)
    newest = max(live, default=None)
    if newest is not None and _holds(live[newest], model):
        return Pushed(newest, f"unchanged: version {newest} is this model already")
    for version, path in withdrawn.items():
        if _holds(path, model):
            return Pushed(
                None, f"version {version}, this very model, was withdrawn; `lcr-ser rollback {version}` brings it back"
            )
    return None


def _holds(version_dir: Path, model: str) -> bool:
    manifest = read_manifest(version_dir)
    return manifest is not None and manifest.model == model


def _taken(serving_dir: Path) -> list[int]:
    return [*numbered(str(serving_dir)), *withdrawn_versions(serving_dir)]
