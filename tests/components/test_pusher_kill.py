"""A pusher that is killed at any moment leaves no version that could be loaded and is not whole.

Moments are those in the middle of a copy, by the number of the copy, and others, by the clock.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from components.common.versions import newest_version
from components.pusher.layout import live_versions
from components.pusher.manifest import find_damage
from serving.versions import find_versions

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("PUSHER_KILLS", "6"))

PUSHER = """
import itertools, os, signal, sys, time
from pathlib import Path
from components.pusher import local
from components.pusher.manifest import Facts

fast, copies, last = local.copy_file, itertools.count(1), int(sys.argv[3])
def slow(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes()[:10])  # the beginning is there for a while
    if next(copies) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    target.unlink()
    return fast(source, target)

local.copy_file = slow
model, serving = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
for number in itertools.count():
    (model / "assets" / "number").write_text(f"{time.time()} {number}")
    local.push(model, serving, Facts(), 3)
"""


@pytest.fixture
def model(tmp_path):
    class Constant(tf.Module):
        def __init__(self):
            super().__init__()
            self.value = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def __call__(self, x):
            return {"y": x * self.value}

    module = Constant()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    (tmp_path / "model" / "assets").mkdir(exist_ok=True)
    return tmp_path / "model"


def _start(model, serving, last=0):
    process = subprocess.Popen(
        [sys.executable, "-c", PUSHER, str(model), str(serving), str(last)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def _kill_after(process, seconds):
    time.sleep(seconds)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_pusher_leaves_whole_versions_only(model, tmp_path):
    serving, seeded, in_the_middle = tmp_path / "serving", random.Random(2025), 0
    files = sum(path.is_file() for path in model.rglob("*")) + 1  # the pusher adds one
    for number in range(KILLS):
        if number % 2:
            process = _start(model, serving)
            _kill_after(process, seeded.uniform(0.05, 0.6))
        else:
            process = _start(model, serving, last=seeded.randint(files + 1, 3 * files))
        assert process.wait(120) == -signal.SIGKILL
        in_the_middle += any((serving / ".push" / "staging").glob("[0-9]*"))
        numeric = [path for path in serving.iterdir() if path.name.isdigit()]
        assert [find_damage(path) for path in numeric] == [[]] * len(numeric)
        found = find_versions(serving)  # what the development server would load
        assert sorted(found) == sorted(int(path.name) for path in numeric)
    print(f"{KILLS} kills, {in_the_middle} in the middle of a copy, {len(found)} versions at the end")
    assert in_the_middle > 0
    assert newest_version(str(serving)) == str(live_versions(serving)[max(found)])
    loaded = tf.saved_model.load(newest_version(str(serving)))
    assert float(loaded.signatures["serving_default"](x=tf.constant(2.0))["y"]) == 6.0
