"""How TensorFlow keeps memory on a CPU."""

import os


def keep_memory() -> None:
    """Lets TensorFlow keep freed memory and hand it out again, where the user has not said otherwise.

    A training step frees and takes the same tensors again and again. The C library gives large ones back to the
    system each time, and new memory is cleared page by page when it is first touched: a GRPO step took 1.3 times as
    long (docs/experiments/speed.md). TensorFlow reads this once, before its first tensor.
    """
    mebibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    # Its own limit is 64 GiB, whatever the machine has.
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(mebibytes))
