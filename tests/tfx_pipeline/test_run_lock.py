"""Two runs of one name: the second is told of the first, whose files stay as they are."""

import datetime
import os
import signal
import socket
import subprocess
import sys

import pytest

from tfx_pipeline import local_runner
from tfx_pipeline.run_lock import LOCK_FILE, only_run
from tfx_pipeline.sources import SettingsError

STARTED = datetime.datetime(2026, 2, 3, 4, 5, 6)
HOLDER = """
import datetime, sys
from pathlib import Path
from tfx_pipeline.run_lock import only_run
folder = Path(sys.argv[1])
with only_run(folder, datetime.datetime(2026, 2, 3, 4, 5, 6), folder / "logs" / "first.log"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path / "output" / "first"` until its input ends."""
    folder = tmp_path / "output" / "first"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


def _files(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}


def test_the_second_run_says_who_runs_and_touches_nothing(holder, monkeypatch, capsys):
    folder, process = holder
    before = _files(folder)
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(folder.parent))
    monkeypatch.setenv("LCR_SER_NAME", "first")
    with pytest.raises(SystemExit) as raised:
        local_runner.main()
    assert raised.value.code == (
        f"Error: A run in {folder} is going on: process {process.pid} on {socket.gethostname()}, started "
        f"2026-02-03 04:05:06, full output in {folder}/logs/first.log. Wait for its end, or set LCR_SER_NAME to "
        "another name for this one."
    )
    assert _files(folder) == before
    assert not (folder.parent / "demo_log").exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_run_left_stops_nobody(holder, end):
    folder, process = holder
    process.send_signal(end)
    process.wait(30)
    assert f"process {process.pid} " in (folder / LOCK_FILE).read_text()
    with only_run(folder, STARTED, folder / "logs" / "second.log"):
        assert (folder / LOCK_FILE).read_text() == (
            f"process {os.getpid()} on {socket.gethostname()}, started 2026-02-03 04:05:06, "
            f"full output in {folder}/logs/second.log"
        )


def test_the_number_of_a_process_that_lives_stops_nobody(tmp_path):
    (tmp_path / LOCK_FILE).write_text(f"process {os.getpid()}, a number that was another's")
    with only_run(tmp_path, STARTED, tmp_path / "logs" / "x.log"):
        pass


def test_one_run_after_the_other_and_runs_of_other_names_go_on(holder):
    folder, process = holder
    with only_run(folder.with_name("other"), STARTED, folder.with_name("other") / "logs" / "x.log"):
        pass
    process.communicate("")
    for _ in range(2):
        with only_run(folder, STARTED, folder / "logs" / "x.log"):
            pass


@pytest.mark.parametrize("taken", ["output", "output/first", "output/first/logs", "output/first/run.lock"])
def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path, taken):
    path = tmp_path / taken
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if taken.endswith(".lock") else path.touch()
    run_dir = tmp_path / "output" / "first"
    with pytest.raises(SettingsError, match="`output_dir` should be a folder that can be written. Received: .*output"):
        with only_run(run_dir, STARTED, run_dir / "logs" / "x.log"):
            pass
