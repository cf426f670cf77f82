"""What a process sets before TensorFlow's first operation."""

import os
import subprocess
import sys
from unittest import mock

import pytest

from model.process import keep_compiled, keep_memory

COMPILE = """
import sys
from pathlib import Path

from model.process import keep_compiled

keep_compiled(Path(sys.argv[1]))
import tensorflow as tf


@tf.function(jit_compile=True)
def double(x):
    return x + x


print(float(double(tf.constant(2.0))))
"""


def test_memory_settings_of_the_user_stay():
    with mock.patch.dict(os.environ, {"TF_CPU_ALLOCATOR_USE_BFC": "false"}):
        os.environ.pop("TF_CPU_BFC_MEM_LIMIT_IN_MB", None)
        os.environ.pop("TF_FORCE_GPU_ALLOW_GROWTH", None)
        keep_memory()
        assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "false"
        keep_memory()
        assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
        assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == "false"
        assert int(os.environ["TF_CPU_BFC_MEM_LIMIT_IN_MB"]) > 500


@pytest.mark.slow
def test_what_xla_compiled_is_kept_for_the_next_process(tmp_path):
    """The second process reads the entry: where it is broken, that is what it says."""

    def run():
        command = [sys.executable, "-c", COMPILE, str(tmp_path / "kept" / "here")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run().stdout == "4.0\n"
    (entry,) = (tmp_path / "kept" / "here").iterdir()
    written = entry.stat().st_mtime_ns
    assert run().stdout == "4.0\n"
    assert [one.stat().st_mtime_ns for one in (tmp_path / "kept" / "here").iterdir()] == [written]
    os.truncate(entry, 100)
    assert "Read less bytes than requested" in run().stderr


def test_flags_of_the_user_for_xla_stay(tmp_path):
    with mock.patch.dict(os.environ, {"TF_XLA_FLAGS": "--tf_xla_auto_jit=0"}):
        keep_compiled(tmp_path)
        assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=0"
