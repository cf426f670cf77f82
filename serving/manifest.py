"""Whether a version is what the Pusher wrote: its files against the SHA-256 in its manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

FILE = "assets.extra/manifest.json"
"""As `components.pusher.manifest` writes it."""


def find_damage(version_dir: Path) -> list[str]:
    """What is not as the manifest says, a line each; none for a version without a manifest, of another pusher."""
    path = version_dir / FILE
    if not path.exists():
        return []
    try:
        listed: dict[str, Any] = json.loads(path.read_bytes())["files"]
        hashes = {name: facts["sha256"] for name, facts in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{FILE} is no manifest: {error!r}"]
    files = {file.relative_to(version_dir).as_posix(): file for file in version_dir.rglob("*") if file.is_file()}
    del files[FILE]
    return [
        *(f"{name} is missing" for name in sorted(hashes.keys() - files.keys())),
        *(f"{name} is not in the manifest" for name in sorted(files.keys() - hashes.keys())),
        *(
            f"{name} has changed"
            for name in sorted(files.keys() & hashes.keys())
            if _sha256(files[name]) != hashes[name]
        ),
    ]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
