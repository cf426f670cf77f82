"""The lock of a GPU, installed beside this environment's TensorFlow: every library that it opens on a card is there.

TensorFlow asks for them itself, without a card: what it calls before it looks for one can be called, and opens by the
same rules. The driver's own library, libcuda, is no part of the lock.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import gpu, requisites
from scripts.errors import SetupError
from scripts.interpreters import probe
from scripts.setup import ROOT, Setup
from scripts.stages import Stages

pytestmark = pytest.mark.long

# Prints, for each thing that TensorFlow needs on a card and does not find, what it is and why.
LOOK = """
import ctypes, glob, json, os, sys
import tensorflow as tf

tensorflow, faults = os.path.dirname(tf.__file__), {}
assert tensorflow == os.path.join(sys.argv[1], "tensorflow"), tensorflow
nvidia = os.path.join(sys.argv[1], "nvidia")

# The libraries without which TensorFlow registers no card. A status is 0 or 1 where all is well, else an address.
gate = "_ZN3tsl8internal9DsoLoader26MaybeTryDlopenGPULibrariesEv"
status = ctypes.c_uint64()
getattr(ctypes.CDLL(os.path.join(tensorflow, "libtensorflow_framework.so.2")), gate)(ctypes.byref(status))
if status.value > 1:
    faults["gate"] = "TensorFlow cannot open all libraries that it wants for a card"

# For several cards, and for the profiler: opened as late as they are needed, by the same function as this.
for name in ("libnccl.so.2", "libcupti.so.12"):
    try:
        tf.load_op_library(name)
    except tf.errors.OpError as error:
        faults[name] = error.message

# Whatever one of them opens in turn is a library of a package too; one of line B's wants the driver's.
for path in sorted(glob.glob(os.path.join(nvidia, "*", "lib", "*.so*"))):
    try:
        ctypes.CDLL(path)
    except OSError as error:
        if "libcuda.so" not in str(error):
            faults[os.path.relpath(path, nvidia)] = str(error)

# XLA runs the one and reads the other, beside TensorFlow's folder.
for name, mode in (("bin/ptxas", os.X_OK), ("nvvm/libdevice/libdevice.10.bc", os.R_OK)):
    if not os.access(os.path.join(nvidia, "cuda_nvcc", name), mode):
        faults[name] = "is not there"
print(json.dumps(faults))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages: NVIDIA's, as locked, and links to all files of this environment's TensorFlow."""
    folder = tmp_path_factory.mktemp("gpu")
    python = probe(sys.executable)
    free = shutil.disk_usage(folder).free / 2**30
    if free < 2 * requisites.GPU_GIB:
        pytest.skip(f"{free:.1f} GiB are free at {folder}, {2 * requisites.GPU_GIB:.0f} are needed")
    shutil.copytree(os.path.join(ROOT, "requirements"), folder / "requirements")
    setup = Setup(str(folder), python, Stages(str(folder / "setup.log")))
    try:
        setup.install_tools()
    except SetupError as error:
        pytest.skip(f"no index of packages is reached: {error}")
    packages = folder / "site"
    setup.add_gpu()
    setup.uv(
        "pip", "install", "--python", sys.executable, "--target", str(packages), "--no-deps", "--require-hashes",
        "--requirements", setup.gpu_lock, hint="cannot install the lock",
    )  # fmt: skip
    installed = Path(find_spec("tensorflow").origin).parent
    # Its libraries find NVIDIA's from the place that they are opened at, be it a link.
    shutil.copytree(
        installed, packages / "tensorflow", copy_function=os.symlink, ignore=shutil.ignore_patterns("include")
    )
    yield packages
    shutil.rmtree(folder)  # gigabytes, which pytest would keep


def faults(site: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("LD_LIBRARY_PATH", None)
    reply = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK, site],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(reply.stdout.splitlines()[-1])


def test_the_lock_is_complete_and_tensorflow_finds_it(site):
    gpu.link_overlooked(str(site))
    assert faults(site) == {}
    ptxas = subprocess.run(
        [site / "nvidia/cuda_nvcc/bin/ptxas", "--version"], stdout=subprocess.PIPE, text=True, check=True
    )
    assert "release 12" in ptxas.stdout


@pytest.mark.parametrize(
    ("package", "fault"),
    [
        ("cublas", "gate"), ("cuda_runtime", "gate"), ("cudnn", "gate"), ("cufft", "gate"), ("cusolver", "gate"),
        ("cusparse", "gate"), ("nvjitlink", "gate"), ("nccl", "libnccl.so.2"), ("cuda_cupti", "libcupti.so.12"),
        ("cuda_nvcc", "bin/ptxas"),
    ],
)  # fmt: skip
def test_a_package_that_is_left_out_is_noticed(site, package, fault):
    gpu.link_overlooked(str(site))
    place, away = site / "nvidia" / package, site / "away"
    place.rename(away)
    try:
        assert fault in faults(site)
    finally:
        away.rename(place)


def test_links_are_needed_and_may_be_made_again(site):
    gpu.link_overlooked(str(site))
    links = [path for path in (site / "nvidia/cuda_runtime/lib").iterdir() if path.is_symlink()]
    assert {"libnccl.so.2", "libcusolver.so.11", "libcupti.so.12"} <= {link.name for link in links}
    for link in links:
        link.unlink()
    # Should this fail, TensorFlow has mended its list, and `link_overlooked` can go.
    assert faults(site).keys() & {"gate", "libnccl.so.2"}
