"""The end of a run: the next command can be pasted."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tfx_pipeline.console.summary import next_command
from tfx_pipeline.settings import REPOSITORY

VALUES = {
    "LCR_SER_LOG_DIR": "/data/my log's [v2]",
    "LCR_SER_GRPO__REWARD": '{"NDCG@5": 1, "HR@1": 0.5}',
    "LCR_SER_EVALUATION__THRESHOLDS": "{all: {MRR: {min: 0.1}}}",
    "LCR_SER_NAME": "a$HOME `b` \\ ; c",
    "LCR_SER_PROFILE": "own",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LCR_SER_")]:
        monkeypatch.delenv(name)
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)


def test_a_shell_gives_the_next_command_the_settings_of_this_run(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    make = tmp_path / "make"
    make.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "found = {n: v for n, v in os.environ.items() if n.startswith('LCR_SER_')}\n"
        "print(json.dumps([found, sys.argv[1:]]))\n"
    )
    make.chmod(0o755)
    pasted = subprocess.run(
        ["/bin/sh", "-c", next_command()],
        env={"PATH": str(tmp_path), "HOME": "/home"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(pasted.stdout) == [VALUES, ["score"]]


def test_elsewhere_the_command_is_named_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(next_command())
    assert words[-2:] == [str(Path(sys.executable).with_name("lcr-ser")), "score"]
    assert dict(word.split("=", 1) for word in words[:-2]) == VALUES
