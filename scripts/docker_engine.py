"""A Docker engine for builds and tests: the one that runs here, or one of our own that leaves nothing behind.

`python3 -m scripts.docker_engine start FOLDER` starts one and prints the variables that reach it; `... stop FOLDER`
ends it. Its images stay in the folder for the next start.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scripts.debian import read_text, write_text
from scripts.errors import SetupError, apt_install

_START_SECONDS = 60
_FILTERS = ("iptables", "ip6tables")
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"
_BRIDGE = "docker0"
_BRIDGE_PATH = f"/sys/class/net/{_BRIDGE}"
_LAST_WITH_BUILDKIT = 22
"""Clients up to this version build with BuildKit by themselves; newer ones need the plugin buildx."""


@dataclass(frozen=True)
class Docker:
    """A client that can build with BuildKit, and the engine that it speaks to."""

    client: str
    variables: dict[str, str]

    def run(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run the client with these arguments; raises where it fails."""
        return subprocess.run([self.client, *arguments], env=self.environment(), text=True, check=True, **options)  # type: ignore[call-overload]

    def output(self, *arguments: str) -> str:
        """What the client writes to its standard output."""
        return self.run(*arguments, stdout=subprocess.PIPE).stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Whether the client succeeds with these arguments; what it says is not shown."""
        command = [self.client, *arguments]
        return not subprocess.run(command, env=self.environment(), capture_output=True, check=False).returncode

    def environment(self) -> dict[str, str]:
        """The variables of a program that speaks to this engine."""
        return {**os.environ, **self.variables}


def find_client() -> str:
    """The first client on the PATH that can build with BuildKit, which hands secrets to a build and keeps none."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    clients = [path for path in (os.path.join(folder, "docker") for folder in folders) if os.access(path, os.X_OK)]
    for client in clients:
        version = re.match(r"Docker version (\d+)", _output(client, "--version"))
        if version and (int(version[1]) <= _LAST_WITH_BUILDKIT or _output(client, "buildx", "version")):
            return client
    found = f"{' and '.join(clients)} cannot" if clients else "There is no docker on the PATH that can"
    raise SetupError(f"{found} build with BuildKit. Install one that can; {apt_install(['docker.io'])}")


@contextmanager
def engine(folder: str) -> Iterator[Docker]:
    """The engine that runs here, or one with its images in `folder`, which ends with the block.

    Raises:
        SetupError: where none runs and none can be started.
    """
    client = find_client()
    for variables in ({}, _variables(folder)):
        docker = Docker(client, {**variables, "DOCKER_BUILDKIT": "1"})
        if docker.succeeds("info"):
            yield docker
            return
    docker = start(folder)
    try:
        yield docker
    finally:
        stop(folder)


def check_machine() -> None:
    """Refuses a machine on which no engine can be started."""
    lacking = [command for command in ("dockerd", *_FILTERS) if not shutil.which(command)]
    if os.geteuid():
        raise SetupError("No Docker engine runs here, and root alone can start one. Start one, or call this as root.")
    if lacking:
        raise SetupError(f"No Docker engine runs here, and {lacking[0]} is missing. {apt_install(['docker.io'])}")
    find_client()


def start(folder: str) -> Docker:
    """Start an engine whose images lie in `folder`."""
    check_machine()
    data, run = os.path.join(folder, "data"), run_folder(folder)
    if os.path.exists(run):
        stop(folder)  # one that was killed left its rules
    for path in (data, run):
        os.makedirs(path, exist_ok=True)
    for command in _FILTERS:
        write_text(os.path.join(run, command), rules(command))
    write_text(os.path.join(run, "ip_forward"), read_text(_FORWARDING))
    if not os.path.exists(_BRIDGE_PATH):
        write_text(os.path.join(run, "bridge"), "")
    docker = Docker(find_client(), {**_variables(folder), "DOCKER_BUILDKIT": "1"})
    log_path = os.path.join(folder, "engine.log")
    with open(log_path, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["dockerd", "--data-root", data, "--exec-root", os.path.join(run, "exec"),
             "--pidfile", os.path.join(run, "pid"), "--host", docker.variables["DOCKER_HOST"]],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _START_SECONDS
    while not docker.succeeds("info"):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(folder)
            raise SetupError(f"A Docker engine cannot be started here. Its log says why: {log_path}")
        time.sleep(0.2)
    return docker


def stop(folder: str) -> None:
    """End the engine that was started with this folder, and take away the rules and the bridge that it made."""
    run = run_folder(folder)
    pid_file = os.path.join(run, "pid")
    if os.path.exists(pid_file):
        pid = int(read_text(pid_file))
        if _is_engine(pid):
            os.kill(pid, signal.SIGTERM)
        while _is_engine(pid):
            time.sleep(0.1)
    unmount_below(run)  # networks of containers that were running: they would keep the bridge busy
    for command in _FILTERS:
        before = os.path.join(run, command)
        if os.path.exists(before):
            script = undoing(read_text(before), rules(command))
            subprocess.run([f"{command}-restore", "--noflush"], input=script, text=True, check=True)
    if os.path.exists(os.path.join(run, "bridge")) and os.path.exists(_BRIDGE_PATH):
        subprocess.run(["ip", "link", "delete", _BRIDGE], check=True)
    if os.path.exists(os.path.join(run, "ip_forward")):
        write_text(_FORWARDING, read_text(os.path.join(run, "ip_forward")))
    shutil.rmtree(run, ignore_errors=True)


def unmount_below(folder: str) -> None:
    """Take away what is mounted in a folder, the deepest first."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        places = [line.split()[1] for line in file]
    for place in sorted((one for one in places if one.startswith(folder + "/")), reverse=True):
        subprocess.run(["umount", place], check=True)


def undoing(before: str, after: str) -> str:
    """What `iptables-restore --noflush` reads to take an engine's chains, rules and policies away.

    Args:
        before: what `iptables-save` wrote before the engine was started.
        after: what it writes now. What others added in the meantime stays.
    """
    old = _tables(before)
    script: list[str] = []
    for table, lines in _tables(after).items():
        known = old.get(table, [])
        chains = [line[1:].split()[0] for line in lines if line.startswith(":DOCKER")]
        new_chains = [chain for chain in chains if not any(line.startswith(f":{chain} ") for line in known)]
        rules = [
            line for line in lines
            if line.startswith("-A ") and line not in known
            and line.split()[1] not in new_chains and ("DOCKER" in line or _BRIDGE in line)
        ]  # fmt: skip
        policies = [_policy(line, known) for line in lines if line.startswith(":") and not line.endswith(" -")]
        script += [f"*{table}", *policies]
        script += [f"-F {chain}" for chain in new_chains]
        script += ["-D" + rule[2:] for rule in rules]
        script += [f"-X {chain}" for chain in new_chains]
        script.append("COMMIT")
    return "\n".join(script) + "\n"


def _tables(saved: str) -> dict[str, list[str]]:
    """The lines of each table, without comments and counters."""
    tables: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            lines = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A ")):
            lines.append(line.partition(" [")[0] if line.startswith(":") else line)
    return tables


def _policy(line: str, known: list[str]) -> str:
    """What a chain of the system did before with what no rule matches; without a rule, no table was there yet."""
    chain = line.split(maxsplit=1)[0]
    return next((one for one in known if one.startswith(chain + " ")), f"{chain} ACCEPT")


def rules(command: str) -> str:
    """What `iptables-save` or `ip6tables-save` writes now; the command is `iptables` or `ip6tables`."""
    return subprocess.run([f"{command}-save"], stdout=subprocess.PIPE, text=True, check=True).stdout


def run_folder(folder: str) -> str:
    """Where the sockets of a folder's engine lie: the path of one has 107 characters at the most."""
    return f"/run/lcr-ser-{hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:8]}"


def _variables(folder: str) -> dict[str, str]:
    return {"DOCKER_HOST": f"unix://{run_folder(folder)}/docker.sock"}


def _output(*command: str) -> str:
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return process.stdout.strip() if not process.returncode else ""


def _is_engine(pid: int) -> bool:
    """Whether a process is an engine; one that has ended and was not waited for has no command line."""
    try:
        return "dockerd" in read_text(f"/proc/{pid}/cmdline")
    except OSError:
        return False


if __name__ == "__main__":
    try:
        if sys.argv[1] == "start":
            print(*(f"export {name}={value}" for name, value in start(sys.argv[2]).variables.items()), sep="\n")
        else:
            stop(sys.argv[2])
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"engine: {error}")
