"""Where a run ran."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "tfx", "apache-beam")


def environment() -> dict[str, Any]:
    """Versions of Python and of the packages that compute, the processor's name, its cores and the number of GPUs."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
    }


def _processor() -> str:
    # Linux has no call for it: platform.processor() is empty in many images.
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
