"""The packages of an environment beside what the lock says of them."""

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT, EXTRAS = "lcr-ser", ("chinese",)


def installed() -> dict[str, str]:
    """Version of each distribution of this environment, by its normalized name."""
    return {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions()}


def locked(*locks: Path) -> dict[str, str]:
    """Version of each package that locks have for this Python, by its normalized name."""
    lines = [line.rstrip(" \\") for lock in locks for line in lock.read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if "==" in line and not line.startswith((" ", "#"))]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in requirements
        if one.marker is None or one.marker.evaluate()
    }


def needed(distribution: str, extras: Iterable[str] = ()) -> set[str]:
    """The normalized names of a distribution and of all that it needs, as far as they are installed or not."""
    found: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(distribution), extra) for extra in ("", *extras)]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        for line in _requires(one[0]):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": one[1]}):
                waiting += [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]
    return {name for name, _ in found}


def needed_by(variant: str) -> set[str]:
    """The names of what an image of this variant, `cpu` or `gpu`, needs at run time."""
    names = needed(PROJECT, EXTRAS)
    return names | needed("tensorflow", ["and-cuda"]) if variant == "gpu" else names


def unneeded(variant: str) -> list[str]:
    """The packages of this environment that only development needs."""
    return sorted(installed().keys() - needed_by(variant))


def differences(present: Mapping[str, str], wanted: Mapping[str, str], needed_names: Iterable[str]) -> list[str]:
    """What speaks against an environment, a line for each package; none if it is as locked.

    Args:
        present: `installed` packages.
        wanted: `locked` packages.
        needed_names: what has to be there; the lock has tools of development too.
    """
    lines = []
    for name, version in sorted(present.items()):
        if name != PROJECT and version != wanted.get(name):
            lines.append(f"{name} is {version}; the lock has {wanted.get(name, 'no such package')}")
    lines += [f"{name} is missing" for name in sorted(set(needed_names) - present.keys())]
    return lines


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
