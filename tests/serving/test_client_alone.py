"""The client as a distribution of its own: in a clean environment, with another protobuf and without TensorFlow."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.toy_servable import expected_score

ROOT = Path(__file__).parents[2]
NEEDED = ("serving/client", "serving/__init__.py", "serving/limits.py", "model/__init__.py", "model/contract.py")

PROGRAM = """
import asyncio, sys
from google.protobuf import __version__ as protobuf
from serving.client import *
import serving.client.request_log
address = sys.argv[1]
request = RankRequest("u", ["a", "b", "c"], ["i"], [Search(["w"], ["x"])])
with RankingClient(address, metrics=ClientMetrics()) as client:
    answer = client.rank(request)
assert asyncio.run(AsyncRankingClient(address).rank(request)) == answer
print(protobuf.partition(".")[0], *(f"{row.item}={row.score}" for row in answer.candidates))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "tensorflow_serving", "keras"}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the files that it should hold and nothing else."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("built")
    for name in NEEDED:
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, sources / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", built]
    subprocess.run([*command, sources / "serving/client"], check=True, capture_output=True, timeout=300)
    [path] = built.iterdir()
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_client_and_what_it_reads(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for name in NEEDED
        for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).glob("*.py"))
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


@pytest.mark.long
def test_a_clean_environment_with_protobuf_6_ranks_on_a_development_server(wheel, still_server, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=300)
    python = environment / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "protobuf>=6,<7",
        f"lcr-ser-client[log,metrics] @ {wheel.as_uri()}",
    ]
    installed = subprocess.run(install, check=False, capture_output=True, text=True, timeout=300)
    if installed.returncode:
        pytest.skip(f"the package index gives no protobuf 6 with grpcio and numpy: {installed.stderr.strip()[-300:]}")
    asked = subprocess.run(
        [python, "-c", PROGRAM, still_server.address],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    ranked, foreign = asked.stdout.split("\n")[:2]
    request = _request()
    best_first = sorted(((expected_score(1, request, item), item) for item in request.candidates), reverse=True)
    assert ranked.split() == ["6", *(f"{item}={score}" for score, item in best_first)]
    assert foreign == ""


def _request():
    from serving.client import RankRequest, Search

    return RankRequest("u", ["a", "b", "c"], ["i"], [Search(["w"], ["x"])])


def test_it_has_the_version_of_the_project():
    versions = [
        re.search(r'^version = "(.*)"$', (ROOT / name).read_text(), re.MULTILINE)[1]
        for name in ("pyproject.toml", "serving/client/pyproject.toml")
    ]
    assert versions[0] == versions[1]
