"""What lies in a pushed version: every file with its SHA-256, and where the model comes from."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST_FILE = "assets.extra/manifest.json"
"""TF Serving and `tf.saved_model.load` pass over what `assets.extra` holds, but for the warm-up requests."""

FileTable = dict[str, dict[str, Any]]
"""Path within the version -> `sha256` (hexadecimal) and `size` (bytes)."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """Where a model comes from.

    Attributes:
        metrics: of the evaluation, name to value.
        data: fingerprint of the log that it was trained on.
        code: hash of the source that made it.
    """

    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    data: str = ""
    code: str = ""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A pushed version.

    Attributes:
        version: its number.
        model: fingerprint of the files; equal models have equal ones, whenever they were pushed.
        pushed_at: seconds since 1970.
        files: all files but the manifest itself.
        facts: where it comes from.
    """

    version: int
    model: str
    pushed_at: float
    files: FileTable
    facts: Facts

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """Of the text that `to_json` made."""
        content = json.loads(text)
        return Manifest(**{**content, "facts": Facts(**content["facts"])})


def file_table(directory: Path) -> FileTable:
    """Hash all files of a version or model directory, without its manifest."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    names = {path.relative_to(directory).as_posix(): path for path in paths}
    return {
        name: {"sha256": _sha256(path), "size": path.stat().st_size}
        for name, path in names.items()
        if name != MANIFEST_FILE
    }


def model_fingerprint(files: FileTable) -> str:
    """16 hexadecimal digits that depend on the names and contents of the files alone."""
    lines = (f"{name}\0{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def read_manifest(version_dir: Path) -> Manifest | None:
    """The manifest of a version; None where another pusher wrote the version, without one.

    Raises:
        ValueError: for a file that is no manifest.
    """
    path = version_dir / MANIFEST_FILE
    try:
        return Manifest.from_json(path.read_text()) if path.exists() else None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is no manifest of a pushed version: {error!r}. Bring back a copy of it, or move the version away."
        ) from error


def find_damage(version_dir: Path) -> list[str]:
    """What is not as the manifest says, a line each; none where the version is whole and unchanged."""
    manifest = read_manifest(version_dir)
    if manifest is None:
        return [f"{MANIFEST_FILE} is missing"]
    found, listed = file_table(version_dir), manifest.files
    return [
        *(f"{name} is missing" for name in sorted(listed.keys() - found.keys())),
        *(f"{name} is not in the manifest" for name in sorted(found.keys() - listed.keys())),
        *(f"{name} has changed" for name in sorted(found.keys() & listed.keys()) if found[name] != listed[name]),
    ]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
