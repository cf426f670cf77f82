"""How many CPUs a container may use, read from made cgroup files."""

import pytest

from serving.cpus import usable_cpus


def _write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2, V1 = "0::/\n", "12:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/\n"
NESTED = "0::/pod/container\n"


@pytest.mark.parametrize(
    ("files", "affinity", "expected"),
    [
        ({}, 8, 8),  # no cgroups at all
        ({"proc/self/cgroup": V2}, 8, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 8, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 8, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "25000 100000\n"}, 8, 1),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "800000 100000\n"}, 3, 3),
        (
            {
                "proc/self/cgroup": NESTED,
                "sys/fs/cgroup/pod/container/cpu.max": "max 100000",
                "sys/fs/cgroup/pod/cpu.max": "300000 100000",
            },
            8,
            3,
        ),
        ({"proc/self/cgroup": NESTED, "sys/fs/cgroup/cpu.max": "200000 100000"}, 8, 2),  # the path is the host's
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
            4,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            8,
            1,
        ),
    ],
)
def test_quota_and_affinity_bound_the_cpus(tmp_path, files, affinity, expected):
    _write(tmp_path, files)
    assert usable_cpus(tmp_path, affinity) == expected


def test_here_it_is_at_least_one():
    assert usable_cpus() >= 1
