"""`serving/deploy/start` and `ready`, run as they are, with a stand-in for the model server that notes its flags."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from components.pusher.manifest import MANIFEST_FILE, Facts, Manifest, file_table
from model.contract import MAX_CANDIDATES, MAX_PAIRS
from serving.limits import MAX_MESSAGE_BYTES

DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
FLAGS = set(
    "port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms enable_batching "
    "allow_version_labels_for_unavailable_models batching_parameters_file model_config_file "
    "model_config_file_poll_wait_seconds num_load_threads num_unload_threads max_num_load_retries "
    "load_retry_interval_micros file_system_poll_wait_seconds tensorflow_intra_op_parallelism "
    "tensorflow_inter_op_parallelism grpc_channel_arguments grpc_max_threads enable_model_warmup "
    "monitoring_config_file enable_profiler".split()
)
"""Those of TF Serving 2.16.1 (model_servers/main.cc) that are set; it ends at one that it does not know."""
SERVER = """#!/bin/bash
printf '%s\\n' "$@" "onednn=$TF_ENABLE_ONEDNN_OPTS" >"$RUN/arguments.new"
mv "$RUN/arguments.new" "$RUN/arguments"
[[ -z ${EXIT:-} ]] || exit "$EXIT"
exec sleep 60
"""


def flags(*arguments, **env):
    command = [DEPLOY / "start", "flags", *map(str, arguments)]
    text = subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout
    return dict(line.removeprefix("--").split("=", 1) for line in text.splitlines())


@pytest.mark.parametrize("cpus", [1, 2, 16])
def test_threads_follow_the_cpus(cpus):
    made = flags(cpus)
    assert set(made) == FLAGS
    assert made["tensorflow_intra_op_parallelism"] == made["tensorflow_inter_op_parallelism"] == str(cpus)
    rows = 24
    assert MAX_PAIRS // MAX_CANDIDATES >= rows, "a batch of the longest lists should be within the limits"
    running, waiting = cpus * rows, 2 * cpus * rows
    assert int(made["grpc_max_threads"]) >= running + waiting
    assert int(made["rest_api_num_threads"]) == 4 * cpus


def test_nothing_but_the_proxy_reaches_the_server():
    made = flags(2)
    assert made["port"] == "0" and made["grpc_socket_path"] == "/run/serving/grpc.sock"
    assert made["enable_profiler"] == "false"
    assert made["grpc_channel_arguments"] == f"grpc.max_receive_message_length={MAX_MESSAGE_BYTES}"


HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "max 100000"}, HERE),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, min(2, HERE)),
        ({"cpu.max": "5000 100000"}, 1),
        ({"cpu.max": f"{HERE + 3}00000 100000"}, HERE),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, HERE),
        ({"cpu/cpu.cfs_quota_us": "60000", "cpu/cpu.cfs_period_us": "50000"}, min(2, HERE)),
        ({}, HERE),
    ],
)
def test_the_container_limit_counts_and_not_the_host(files, cpus, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert flags(CGROUP=str(tmp_path)) == flags(cpus)


def test_one_cpu_less_is_one_cpu_less(tmp_path):
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), DEPLOY / "start", "flags"]
    text = subprocess.run(command, env={**os.environ, "CGROUP": str(tmp_path)}, check=True, capture_output=True)
    assert b"--tensorflow_intra_op_parallelism=1\n" in text.stdout


class Started:
    """`start` in a folder, with a pushed directory of its own."""

    def __init__(self, folder, **env):
        self.run, self.pushed = folder / "run", folder / "pushed"
        self.links = self.run / "models" / "lcr_ser"
        (folder / "bin").mkdir()
        (folder / "bin/tensorflow_model_server").write_text(SERVER)
        (folder / "bin/tensorflow_model_server").chmod(0o755)
        self.run.mkdir()
        self.pushed.mkdir(exist_ok=True)
        (folder / "cgroup").mkdir()
        (folder / "cgroup/cpu.max").write_text("100000 100000\n")
        self.env = {
            **os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "RUN": str(self.run),
            "PUSHED": str(self.pushed), "CONFIG": str(DEPLOY), "CGROUP": str(folder / "cgroup"), **env,
        }  # fmt: skip

    def __enter__(self):
        self.process = subprocess.Popen([DEPLOY / "start"], env=self.env, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()

    def served(self):
        return {int(link.name) for link in self.links.iterdir()} if self.links.is_dir() else set()

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"the awaited state was not reached: {self.served()} are served"
            time.sleep(0.02)


def write_version(pushed, version, damage=None):
    """A version as the Pusher leaves it: complete at once, with its manifest."""
    staged = pushed.parent / f"staged-{version}"
    for name, content in {"saved_model.pb": b"graph", "variables/variables.index": b"", "assets/ids": b"a\nb"}.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_bytes(content)
    manifest = Manifest(version, "m", 1.5, file_table(staged), Facts({"ndcg@5": 0.5}, "data", "code"))
    (staged / MANIFEST_FILE).parent.mkdir()
    (staged / MANIFEST_FILE).write_text(manifest.to_json())
    if damage:
        damage(staged)
    staged.rename(pushed / str(version))


DAMAGES = {
    "a changed file": lambda folder: (folder / "saved_model.pb").write_bytes(b"grapH"),
    "a missing file": lambda folder: (folder / "assets/ids").unlink(),
    "a foreign file": lambda folder: (folder / "assets/more").write_bytes(b""),
    "a link": lambda folder: ((folder / "assets/ids").unlink(), (folder / "assets/ids").symlink_to("/etc/hostname")),
    "a foreign link": lambda folder: (folder / "assets/more").symlink_to("/etc/hostname"),
    "no manifest": lambda folder: (folder / MANIFEST_FILE).unlink(),
    "an empty manifest": lambda folder: (folder / MANIFEST_FILE).write_text("{}"),
    "no model": lambda folder: (folder / "saved_model.pb").unlink(),
}


@pytest.mark.slow
def test_only_versions_that_are_what_their_manifest_says_are_shown_to_the_server(tmp_path):
    (tmp_path / "pushed").mkdir()
    write_version(tmp_path / "pushed", 7)
    for number, damage in enumerate(DAMAGES.values(), 8):
        write_version(tmp_path / "pushed", number, damage)
    (tmp_path / "pushed" / ".push").mkdir()
    write_version(tmp_path / "pushed", 99)
    with Started(tmp_path) as started:
        started.until(lambda: started.served() == {7, 99})
        assert (started.links / "7" / "saved_model.pb").read_bytes() == b"graph"
        time.sleep(1.5)  # another look
        started.process.terminate()
        text = started.process.stderr.read()
    for number in range(8, 8 + len(DAMAGES) - 1):
        assert text.count(f"version {number} is not what its manifest says") == 1
    assert f"version {7 + len(DAMAGES)}" not in text, "a folder without saved_model.pb is no version yet"


@pytest.mark.slow
def test_new_versions_come_withdrawn_ones_go_and_the_last_one_stays(tmp_path):
    (tmp_path / "pushed").mkdir()
    write_version(tmp_path / "pushed", 1)
    with Started(tmp_path) as started:
        started.until(lambda: started.served() == {1})
        write_version(started.pushed, 2)
        started.until(lambda: started.served() == {1, 2})
        (started.pushed / "2").rename(tmp_path / "withdrawn")
        started.until(lambda: started.served() == {1})
        shutil.rmtree(started.pushed)
        time.sleep(2.5)  # two looks
        assert started.served() == {1}


@pytest.mark.slow
def test_the_server_gets_its_flags_and_the_signal(tmp_path):
    with Started(tmp_path) as started:
        started.until((started.run / "arguments").exists)
        arguments = (started.run / "arguments").read_text().splitlines()
        assert arguments == [
            *(f"--{name}={value}" for name, value in flags(1, RUN=str(started.run), CONFIG=str(DEPLOY)).items()),
            "onednn=0",
        ]
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(10) == 128 + signal.SIGTERM


@pytest.mark.slow
def test_it_ends_as_the_server_ends(tmp_path):
    with Started(tmp_path, EXIT="134") as started:
        assert started.process.wait(10) == 134


def test_wrong_arguments_are_named():
    run = subprocess.run([DEPLOY / "start", "stop"], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "Received: stop" in run.stderr


def status(*states):
    """TF Serving's answer to GET /v1/models/lcr_ser."""
    versions = [
        {"version": str(version), "state": state, "status": {"error_code": "OK", "error_message": message}}
        for version, state, message in states
    ]
    return json.dumps({"model_version_status": versions}, indent=1)


HOSTILE = '"version":"99","state":"AVAILABLE"'


@pytest.mark.parametrize(
    ("answer", "served"),
    [
        (status((5, "AVAILABLE", "")), 5),
        (status((7, "LOADING", ""), (5, "AVAILABLE", "")), 5),
        (status((10, "AVAILABLE", ""), (9, "AVAILABLE", "")), 10),
        (status((9, "AVAILABLE", ""), (10, "AVAILABLE", "")), 10),
        (status((7, "LOADING", "")), None),
        (status((7, "END", HOSTILE)), None),
        ('{"error": "Could not find any versions of model lcr_ser"}', None),
    ],
)
def test_ready_means_available(answer, served, tmp_path):
    class Rest(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/v1/models/lcr_ser" else 404)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    for version in ("5", "10", "withdrawn", "7.tmp"):
        (tmp_path / "pushed" / version).mkdir(parents=True)
    server = http.server.HTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {"RUN": str(tmp_path), "PUSHED": str(tmp_path / "pushed"), "REST_PORT": str(server.server_port)}
    run = subprocess.run([DEPLOY / "ready"], env={**os.environ, **env}, timeout=10, check=False)
    server.shutdown()
    server.server_close()
    assert (run.returncode == 0) == (served is not None)
    lines = (tmp_path / "versions.prom").read_text().splitlines()
    metrics = dict(line.split() for line in lines if not line.startswith("#"))
    assert int(metrics["lcr_ser_served_version"]) == (served or 0)
    assert int(metrics["lcr_ser_pushed_version"]) == 10
    assert abs(int(metrics["lcr_ser_versions_checked_seconds"]) - time.time()) < 30


def test_a_server_that_is_not_there_is_not_ready(tmp_path):
    env = {"RUN": str(tmp_path), "PUSHED": str(tmp_path), "REST_PORT": "1"}
    run = subprocess.run([DEPLOY / "ready"], env={**os.environ, **env}, capture_output=True, timeout=10, check=False)
    assert run.returncode != 0
    assert not (tmp_path / "versions.prom").exists()
