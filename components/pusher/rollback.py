"""Returns to an earlier version: the newer ones step aside, and nothing is lost."""

import dataclasses
import os
from pathlib import Path

from components.pusher.layout import WITHDRAWN, live_versions, locked, sync, withdrawn_versions


@dataclasses.dataclass(frozen=True)
class RolledBack:
    """What a rollback did.

    Attributes:
        served: the version that is served now.
        before: the version that was served before; None where there was none.
        withdrawn: the versions that stepped aside, oldest first.
    """

    served: int
    before: int | None
    withdrawn: tuple[int, ...]


def rollback(serving_dir: Path, version: int | None = None) -> RolledBack:
    """Make an earlier version the newest that servers see, by moving the newer ones into `withdrawn`.

    A version that was withdrawn is moved back if it is asked for, so a rollback can be undone. At each moment servers
    see the version from before or the one asked for, none between them.

    Args:
        serving_dir: directory of numeric version directories.
        version: to be served; None: the one before the newest.

    Raises:
        ValueError: there is no such version, or none before the newest.
    """
    if not serving_dir.is_dir():
        raise ValueError(f"{serving_dir} holds no pushed model. Run `make run` first.")
    with locked(serving_dir, "versions"):
        live, withdrawn = live_versions(serving_dir), withdrawn_versions(serving_dir)
        before = max(live, default=None)
        target = _previous(live, serving_dir) if version is None else version
        if target not in live and target not in withdrawn:
            raise ValueError(f"`version` should be one of {_listed([*live, *withdrawn])}. Received: {target}.")
        aside = serving_dir / WITHDRAWN
        aside.mkdir(exist_ok=True)
        if target not in live:
            os.rename(withdrawn[target], serving_dir / withdrawn[target].name)
        # Upwards, so that the newest goes last: until then it is the one that servers see.
        newer = tuple(number for number in live if number > target)
        for number in newer:
            os.rename(live[number], aside / live[number].name)
        sync(serving_dir)
        sync(aside)
    return RolledBack(target, before, newer)


def _previous(live: dict[int, Path], serving_dir: Path) -> int:
    if len(live) < 2:
        raise ValueError(f"{serving_dir} should hold a version to go back to. Received: {_listed(live) or 'none'}.")
    return sorted(live)[-2]


def _listed(versions: "list[int] | dict[int, Path]") -> str:
    return ", ".join(str(version) for version in sorted(versions))
