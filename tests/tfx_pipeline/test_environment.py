import sys

import pytest

from tfx_pipeline.environment import health, packages

LOCK = """\
a-b==1.0 \\
    --hash=sha256:aa
c==2 ; python_version == '3.2' \\
    --hash=sha256:bb
c==3 ; python_version >= '3.3' \\
    --hash=sha256:cc
"""


def test_a_lock_is_read_for_this_python(tmp_path):
    (tmp_path / "lock.txt").write_text(LOCK)
    (tmp_path / "gpu.txt").write_text("D.e==4.1 \\\n    --hash=sha256:dd\n")
    assert packages.locked(tmp_path / "lock.txt", tmp_path / "gpu.txt") == {"a-b": "1.0", "c": "3", "d-e": "4.1"}


def test_each_package_that_differs_is_named():
    present = {"a-b": "1.1", "c": "3", "stranger": "5", "lcr-ser": "0.1.0"}
    assert packages.differences(present, {"a-b": "1.0", "c": "3", "e": "1"}, {"c", "e"}) == [
        "a-b is 1.1; the lock has 1.0",
        "stranger is 5; the lock has no such package",
        "e is missing",
    ]
    assert packages.differences({"c": "3", "lcr-ser": "0.1.0"}, {"c": "3", "e": "1"}, {"c"}) == []


@pytest.fixture
def distributions(tmp_path, monkeypatch):
    """Three distributions: `one` needs `two` with an extra, which needs `three`, and what is not there."""
    needs = {
        "one": ["two[more]>=1", "pytest ; extra == 'dev'", "never ; python_version < '3'"],
        "two": ["three ; extra == 'more'", "four ; extra == 'other'"],
        "three": ["one", "Not.There"],
    }
    for name, lines in needs.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        requires = "".join(f"Requires-Dist: {line}\n" for line in lines)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{requires}")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


def test_what_is_needed_follows_extras_and_ends_in_circles(distributions):
    assert packages.needed("one") == {"one", "two", "three", "not-there"}
    assert packages.needed("two") == {"two"}
    assert packages.needed("one", ["dev"]) == {"one", "two", "three", "not-there", "pytest"}


def test_tools_of_development_are_not_needed_and_the_rest_is():
    needed = packages.needed_by("cpu")
    assert {"tfx", "apache-beam", "tensorflow", "kfp", "jieba", "polars"} <= needed
    assert not needed & {"pytest", "ruff", "mypy", "playwright", "ranx", "nvidia-cudnn-cu12"}
    assert "nvidia-cudnn-cu12" in packages.needed_by("gpu")


@pytest.mark.slow
def test_all_executors_are_found():
    import tfx_pipeline.stages  # noqa: F401 (defines the components)

    found = health.executor_modules()
    assert {
        "components.example_gen.executor", "components.pusher.executor", "components.ranking_check.executor",
        "tfx.components.transform.executor", "tfx.components.evaluator.executor",
    } <= set(found)  # fmt: skip


@pytest.mark.parametrize("content", [None, b"#!/bin/sh\n"])
def test_a_start_program_that_is_none_is_told(tmp_path, content):
    boot = tmp_path / "boot"
    if content:
        boot.write_bytes(content)
    (fault,) = health.worker_faults(boot)
    assert str(boot) in fault
