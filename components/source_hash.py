"""A hash of source files: the part of a cache key that changes when the code of a component does."""

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path


def source_hash(*names: str) -> str:
    """Hash the Python, schema, template and style files of packages or modules, without importing them.

    TFX caches by inputs and parameters alone, so a component that takes its function by import path would
    never notice that the function changed. The hash goes into its parameters.

    Args:
        names: import names, such as `model` or `components.preprocessing`.

    Returns:
        16 hexadecimal digits that depend on the names and contents of the files alone.
    """
    digest = hashlib.sha256()
    for name in names:
        for path, label in _files(name):
            digest.update(f"{name}:{label}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(name: str) -> Iterator[tuple[Path, str]]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ValueError(f"`names` should be modules that can be imported. Received: {name!r}.")
    if not spec.submodule_search_locations:
        yield Path(str(spec.origin)), ""
        return
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".pbtxt", ".j2", ".css")):
        yield path, path.relative_to(root).as_posix()
