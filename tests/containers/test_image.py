import json
import os
import subprocess

import pytest

from scripts import containers
from tests.containers.conftest import MARK

pytestmark = pytest.mark.containers

ANY_USER = "1234567:0"
WRITABLE = ("/home/ranker", "/home/ranker/.cache", "/home/ranker/.cache/matplotlib", "/gcs", "/minio", "/s3", "/tmp")
_ANOTHER_PYTHON = """
mkdir /tmp/other && export PATH=/tmp/other:$PATH
cat > /tmp/other/python <<END
#!/bin/sh
PYTHONPATH=$(echo /opt/venv/lib/python3*/site-packages):/opt/lcr-ser exec $(readlink -f /opt/venv/bin/python) "\\$@"
END
chmod +x /tmp/other/python"""
READ_ONLY = ("/opt/lcr-ser/model", "/opt/venv/bin", "/opt/apache/beam")


@pytest.fixture(scope="module")
def run(docker, image):
    """Runs a command in a container without a network; its status and all that it says.

    Beam's runner listens on the name of its host, which has no address without a network, but for this name.
    """

    def call(*command, user=None):
        options = ["--rm", "--network", "none", "--hostname", "localhost", *(["--user", user] if user else [])]
        process = subprocess.run(
            [docker.client, "run", *options, image, *command],
            env=docker.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return process.returncode, process.stdout

    return call


def test_it_runs_what_a_spec_says_as_a_user_without_rights(docker, image):
    config = json.loads(docker.output("image", "inspect", "--format", "{{json .Config}}", image))
    assert config["User"] == "1000:0"
    assert not config.get("Entrypoint")


@pytest.mark.parametrize("user", [None, ANY_USER])
def test_any_user_of_group_0_writes_where_steps_write_and_nowhere_else(run, user):
    writes = " && ".join(f"mkdir -p {folder}/made/deep && echo 1 > {folder}/made/deep/file" for folder in WRITABLE)
    assert run("sh", "-c", f"{writes} && id -u", user=user) == (0, f"{(user or '1000:0').split(':')[0]}\n")
    for folder in READ_ONLY:
        status, said = run("touch", f"{folder}/made", user=user)
        assert status and "Permission denied" in said


def test_libraries_find_a_home_for_a_user_that_has_no_name(run):
    code = (
        "import getpass, os, matplotlib, tempfile;"
        "print(getpass.getuser(), os.path.expanduser('~'), os.access(matplotlib.get_cachedir(), os.W_OK))"
    )
    assert run("python", "-c", code, user=ANY_USER) == (0, "ranker /home/ranker True\n")


def test_no_index_and_no_secret_is_kept(docker, image, run):
    settings = containers.pip_settings()
    words = {MARK, *(word for name in ("index-url", "extra-index-url") for word in settings.get(name, "").split())}
    told = docker.output("history", "--no-trunc", image) + docker.output("image", "inspect", image)
    assert not [word for word in words if word in told]
    patterns = [argument for word in words for argument in ("-e", word)]
    search = ["grep", "-rlF", "--exclude-dir=proc", "--exclude-dir=sys", *patterns, "/"]
    assert run(*search, user="0") == (1, "")


def test_a_search_finds_what_is_kept(run):
    """The search of the test above, for something that is there."""
    status, said = run("grep", "-rlF", "-e", "class LazyGroup", "/opt", user="0")
    assert status == 0
    assert "/opt/lcr-ser/tfx_pipeline/cli.py" in said


def test_files_lie_there_with_their_bytecode(run):
    code = (
        "import importlib.util as u, os, model.config, click, json;"
        "print([os.path.exists(u.cache_from_source(m.__file__)) for m in (model.config, click, json)])"
    )
    assert run("python", "-c", code) == (0, "[True, True, True]\n")


def test_python_is_of_the_line(run):
    line = containers.Image.wanted(os.environ).line
    status, said = run("python", "-c", "import sys; print(sys.version_info[:2] == (3, 10), sys.prefix)")
    assert (status, said) == (0, f"{line == 'a'} /opt/venv\n")


@pytest.mark.parametrize("command", ["tfx", "lcr-ser"])
def test_commands_start(run, command):
    status, said = run(command, "--help", user=ANY_USER)
    assert status == 0
    assert "score" in said


def test_tools_of_development_are_left_out(run):
    status, said = run("python", "-c", "import pytest")
    assert status and "No module named 'pytest'" in said


def test_whole_environment_passes(run):
    status, said = run("python", "-m", "tfx_pipeline.environment.health", user=ANY_USER)
    assert (status, said.splitlines()[-1].startswith("health: ")) == (0, True), said


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            "sed -i 's/^Version: .*/Version: 0.0.1/' /opt/venv/lib/python3*/site-packages/rich-*/METADATA",
            "rich is 0.0.1",
        ),
        ("rm -r /opt/venv/lib/python3*/site-packages/polars-*.dist-info", "polars is missing"),
        ("rm -r /opt/venv/lib/python3*/site-packages/jieba", "jieba cannot be imported"),
        ("rm /opt/apache/beam/boot", "/opt/apache/beam/boot is missing"),
        ("echo '#!/bin/sh' > /opt/apache/beam/boot", "/opt/apache/beam/boot is not of Beam"),
        (_ANOTHER_PYTHON, "not in /opt/venv"),
    ],
)
def test_damage_is_found(run, damage, says):
    # By its other name: Beam's start program takes the first `python` on the PATH.
    status, said = run("sh", "-c", f"{damage}\nexec python3 -m tfx_pipeline.environment.health", user="0")
    assert status == 1
    assert says in said
