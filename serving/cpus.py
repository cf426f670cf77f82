"""How many CPUs a container may use: its cgroup's quota and the process's affinity, not the cores of the host."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """The CPUs that threads of this process can keep busy, at least 1; part of one counts as one.

    Args:
        root: where `proc/self/cgroup` and `sys/fs/cgroup` lie.
        affinity: CPUs that the process may be put on; asked of the kernel unless given.
    """
    return max(1, math.ceil(min([affinity or len(os.sched_getaffinity(0)), *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Each limit in CPUs, of the process's own group and of all above it, by version 1 and 2 of the interface.

    In a container the path in `proc/self/cgroup` may be the host's, where the container sees its own group alone, as
    the top: what is not there has no limit.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = PurePosixPath(path)
        for folder in (group, *group.parents):
            quota = _quota(mount / folder.relative_to("/"))
            if quota:
                yield quota


def _quota(group: Path) -> float | None:
    """CPU time a period over the period; None without a limit."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text()
    except OSError:
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
