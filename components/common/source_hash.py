"""A hash of source files: the part of a cache key that changes when the code of a component does.

TFX caches by inputs and parameters alone: it never notices that the code of a component changed. The hash goes into the
parameters. Which files it covers is read from their imports, so no list can fall behind the code.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the packages."""
PACKAGES = ("model", "components", "tfx_pipeline", "serving")
DATA_SUFFIXES = (".css", ".j2", ".pbtxt")
"""Of files that code reads beside itself. Settings are none: their values are parameters already."""
_NAMED_MODULE = re.compile(rf"""(["'])((?:{"|".join(PACKAGES)})(?:\.\w+)+)\1""")
"""A module named in a string, as TFMA finds metrics and `python -m` a program."""


def code_hash(*code: Any) -> str:
    """Hash the code that runs when a component or a function does, without importing it.

    Args:
        code: components, of which the executor counts, or import names of modules or functions, such as
            `components.trainer.run_fn.supervised_run_fn`.

    Returns:
        16 hexadecimal digits that depend on the names and contents of `source_files` alone.

    Raises:
        ValueError: for a name that is in none of the project's packages.
    """
    names = [one if isinstance(one, str) else one.EXECUTOR_SPEC.executor_class.__module__ for one in code]
    digest = hashlib.sha256()
    for path in source_files(*names):
        digest.update(f"{path.relative_to(ROOT).as_posix()}:{_content_hash(path)}\n".encode())
    return digest.hexdigest()[:16]


def source_files(*names: str) -> list[Path]:
    """The files that modules need: they themselves, what they import, and the data beside these modules.

    Imports count wherever they stand, in functions too, and bring the `__init__.py` of every package above.

    Args:
        names: import names of modules, or of functions in them.

    Returns:
        Their paths, sorted.

    Raises:
        ValueError: for a name that is in none of the project's packages.
    """
    found: set[Path] = set()
    waiting = {path for name in names for path in _known(name)}
    while waiting:
        found |= waiting
        waiting = {needed for path in waiting for needed in _needed_by(path)} - found
    beside = (path for folder in {path.parent for path in found} for path in folder.iterdir())
    return sorted(found.union(path for path in beside if path.suffix in DATA_SUFFIXES))


def _known(name: str) -> list[Path]:
    modules = _modules(name)
    in_a_module = bool(modules) and modules[-1].name != "__init__.py"
    if len(modules) + in_a_module < len(name.split(".")):
        raise ValueError(
            f"Names of code should be modules of {', '.join(PACKAGES)}, or functions in them. Received: {name!r}."
        )
    return modules


def _modules(name: str) -> list[Path]:
    """Files of the modules that an import name leads through: packages and a module, but not what that defines."""
    found: list[Path] = []
    place, parts = ROOT, name.split(".")
    for part in parts if parts[0] in PACKAGES else []:
        place /= part
        files = [path for path in (place / "__init__.py", place.with_suffix(".py")) if path.exists()]
        if not files:
            break
        found.append(files[0])
    return found


@functools.cache
def _needed_by(path: Path) -> set[Path]:
    """Files of the modules that a module imports, and of those that it names in a string."""
    text = path.read_text()
    names = {match[2] for match in _NAMED_MODULE.finditer(text)}
    package = path.parent.relative_to(ROOT).parts
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            source = ".".join((*above, *([node.module] if node.module else ())))
            names.update(f"{source}.{alias.name}" for alias in node.names)
    return {needed for name in names for needed in _modules(name)}


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within, expressions left out: they are most of a file, and import nothing."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, field, ()):
            yield statement
            yield from _statements(statement)


@functools.cache
def _content_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
