import re
from pathlib import Path

import pytest

from scripts.lock import merge, parse

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
_A = "a==1 \\\n    --hash=sha256:aa\n"


def test_equal_pins_are_written_once_and_different_ones_get_markers():
    merged = merge(
        {
            "3.11": parse(_A + "b==1 \\\n    --hash=sha256:b1\nc==5 \\\n    --hash=sha256:c5\n"),
            "3.12": parse(_A + "b==2 \\\n    --hash=sha256:b2\n"),
            "3.13": parse(_A + "b==2 \\\n    --hash=sha256:b2\n"),
        }
    )
    assert merged == (
        _A + "b==1 ; python_version == '3.11' \\\n    --hash=sha256:b1\n"
        "b==2 ; python_version == '3.12' or python_version == '3.13' \\\n    --hash=sha256:b2\n"
        "c==5 ; python_version == '3.11' \\\n    --hash=sha256:c5\n"
    )


@pytest.mark.parametrize("name", ["line-a.txt", "line-b.txt", "gpu-a.txt", "gpu-b.txt", "bootstrap.txt"])
def test_lock_files_pin_and_hash_everything_and_name_no_index(name):
    text = (REQUIREMENTS / name).read_text()
    assert "://" not in text
    packages = parse(text)
    assert packages
    for block in packages.values():
        requirement, *hashes = block.split(" \\\n    --hash=sha256:")
        assert re.fullmatch(r"[\w.-]+==\S+( ; python_version .+)?", requirement)
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)


def test_both_lines_hold_what_the_resolver_forgets():
    for name in ("line-a.txt", "line-b.txt"):
        assert {"dill", "pip", "setuptools", "tfx", "keras", "tensorflow-recommenders"} <= parse(
            (REQUIREMENTS / name).read_text()
        ).keys()


@pytest.mark.parametrize("line", ["a", "b"])
def test_a_gpu_moves_no_package_and_brings_its_libraries(line):
    packages = parse((REQUIREMENTS / f"line-{line}.txt").read_text())
    gpu = parse((REQUIREMENTS / f"gpu-{line}.txt").read_text())
    assert not packages.keys() & gpu.keys()
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12"} <= gpu.keys()
