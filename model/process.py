"""What TensorFlow reads of a process's environment once, before its first operation."""

import os
from pathlib import Path


def keep_memory() -> None:
    """Lets TensorFlow keep freed memory and hand it out again, and not take a GPU's whole, where the user has not said
    otherwise.

    A training step frees and takes the same tensors again and again. The C library gives large ones back to the
    system each time, and new memory is cleared page by page when it is first touched: a GRPO step took 1.3 times as
    long (docs/experiments/speed.md). Of a GPU it takes what it needs, and more as it needs more: all at once would
    leave nothing to another process, such as a server or a second run.
    """
    mebibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    # Its own limit is 64 GiB, whatever the machine has.
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(mebibytes))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def keep_compiled(directory: Path) -> None:
    """Has TensorFlow keep what XLA compiles in a folder, and look there first; flags of the user (`TF_XLA_FLAGS`) stay.

    An entry is found by the name of its function, which counts the functions that the process made before: a program
    finds its entries again if it makes the same ones in the same order. TensorFlow makes the folder, and fails where it
    cannot write there.
    """
    os.environ.setdefault("TF_XLA_FLAGS", cache_flags(directory))


def cache_flags(directory: Path) -> str:
    """What `TF_XLA_FLAGS` says for that."""
    return f"--tf_xla_persistent_cache_directory={directory} --tf_xla_persistent_cache_read_only=false"
