import os
import subprocess
import sys

import pytest

from scripts import docker_engine
from scripts.errors import SetupError

pytestmark = pytest.mark.containers

# In a network namespace of its own: rules, bridges and forwarding of this machine are not touched.
_START_AND_STOP = """
import os, signal, sys
from scripts import docker_engine

def network():
    rules = "".join(docker_engine.rules(command) for command in ("iptables", "ip6tables"))
    lines = [line.partition(" [")[0] for line in rules.splitlines() if line.startswith((":", "-A"))]
    kept = [line for line in lines if not line.endswith(" ACCEPT")]
    return kept, sorted(os.listdir("/sys/class/net")), open("/proc/sys/net/ipv4/ip_forward").read()

before = network()
if sys.argv[2] == "killed":
    docker_engine.start(sys.argv[1])
    pid = int(open(docker_engine.run_folder(sys.argv[1]) + "/pid").read())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
docker = docker_engine.start(sys.argv[1])
during = network()
assert docker.succeeds("info")
assert before != during, "an engine that changes nothing shows nothing"
docker_engine.stop(sys.argv[1])
assert network() == before, network()
assert not docker.succeeds("info")
assert not os.path.exists(docker_engine.run_folder(sys.argv[1]))
"""


_MOUNT_AND_UNMOUNT = """
import os, subprocess, sys
from scripts import docker_engine

inner, beside = sys.argv[1] + "/run/netns/one", sys.argv[1] + "/run-beside"
for folder in (sys.argv[1] + "/run", inner, beside):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    os.makedirs(inner, exist_ok=True)
docker_engine.unmount_below(sys.argv[1] + "/run")
assert not os.path.ismount(inner)
assert os.path.ismount(sys.argv[1] + "/run") and os.path.ismount(beside)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may mount")
def test_what_containers_left_mounted_goes(tmp_path):
    command = ["unshare", "--mount", sys.executable, "-c", _MOUNT_AND_UNMOUNT, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("before", ["nothing", "killed"])
def test_an_engine_leaves_no_rule_no_bridge_and_no_process(tmp_path, before):
    try:
        docker_engine.check_machine()
    except SetupError as error:
        pytest.skip(str(error))
    mount_sys = 'mount -t sysfs sysfs /sys && exec "$0" "$@"'
    command = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        mount_sys,
        sys.executable,
        "-c",
        _START_AND_STOP,
        str(tmp_path),
        before,
    ]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
