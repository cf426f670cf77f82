"""`lcr-ser serve`, `loadtest` and `push --wait`."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
from click.testing import CliRunner

from serving.client import RankingClient, RankRequest
from tests.support.recording_server import RecordingServer
from tests.support.servers import BINARY, MISSING
from tests.support.toy_servable import expected_score, export
from tests.support.workspace import ROOT
from tfx_pipeline.commands.load_test import loadtest
from tfx_pipeline.commands.push import push, replicas
from tfx_pipeline.commands.serve import Wanted, development_command, docker_command, serve, server_flags

REQUEST = {"user": "u", "rec_items": ["b"], "searches": [{"words": ["red"]}], "candidates": ["a", "b", "c"]}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """That of the settings, with a request and version 3."""
    monkeypatch.setenv("LCR_SER_OUTPUT_DIR", str(tmp_path))
    monkeypatch.setenv("LCR_SER_NAME", "demo")
    monkeypatch.setattr("tfx_pipeline.commands.load_test._PAUSE_SECONDS", 0.0)
    version = tmp_path / "demo" / "serving" / "demo" / "3"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_text("x")
    (tmp_path / "demo" / "request.json").write_text(json.dumps(REQUEST))
    return tmp_path / "demo"


@pytest.fixture
def server():
    with RecordingServer() as running:
        yield running


def _run(command, *arguments):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_without_rates_the_closed_loop_finds_the_capacity(run_dir, server):
    code, output = _run(loadtest, server.address, "--seconds", 0.2, "--clients", 2, "--timeout", 20)
    assert code == 0, output
    [folder] = (run_dir / "load_tests").iterdir()
    figures = json.loads((folder / "load_test.json").read_text())
    assert (folder / "load_test.png").read_bytes().startswith(PNG)
    assert str(folder / "load_test.json") in output and str(folder / "load_test.png") in output
    capacity = figures["closed"]["goodput"]
    assert [loop["rate"] / capacity for loop in figures["open"]] == pytest.approx([0.25, 0.5, 0.75, 1, 1.5, 3])
    assert figures["versions"] == [3]
    for loop in [figures["closed"], *figures["open"]]:
        assert loop["codes"] in ({"OK": loop["calls"]}, {})
    assert sum(loop["calls"] for loop in [figures["closed"], *figures["open"]]) == len(server.asked) - 1
    assert f"next            lcr-ser loadtest {server.address} --signature rank --rates " in output


@pytest.mark.parametrize("signature", ["score", "recommend"])
def test_rates_and_a_folder_are_taken_and_refusals_shown(run_dir, server, tmp_path, signature):
    # The lookup and what makes the call; then five refusals, whatever is asked.
    server.failures = [None] * (3 if signature == "score" else 2) + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 5
    options = ["--rates", "100,20", "--seconds", 0.4, "--signature", signature, "--k", 3, "--out", tmp_path / "o"]
    code, output = _run(loadtest, server.address, *options)
    assert code == 0, output
    figures = json.loads((tmp_path / "o" / "load_test.json").read_text())
    assert (figures["closed"], [loop["rate"] for loop in figures["open"]]) == (None, [100, 20])
    assert [loop["refusals"] for loop in figures["open"]] == [5, 0]
    assert figures["open"][0]["said"] == {"RESOURCE_EXHAUSTED": "told to fail"}
    assert re.search(r"^RESOURCE_EXHAUSTED +told to fail$", output, re.MULTILINE)
    assert f"--signature {signature} --rates 20 " in output  # the highest that was answered whole
    assert {asked for asked, _ in server.asked} == {signature, *(["encode"] if signature == "score" else [])}


@pytest.mark.parametrize("rates", ["0", "-1", "nan", "a", "1,,2", "1e9"])
def test_rates_that_are_none_are_refused(run_dir, rates):
    code, output = _run(loadtest, "--rates", rates)
    assert code == 2 and f"should be calls a second, up to 100,000, such as 50,100,200. Received: {rates}." in output


def test_what_stands_in_the_way_of_a_load_is_told(run_dir, server, tmp_path):
    code, output = _run(loadtest, "127.0.0.1:1")
    assert code == 1 and output.startswith("Error: UNAVAILABLE: no answer from 127.0.0.1:1")
    (tmp_path / "x").write_text("no requests")
    code, output = _run(loadtest, server.address, "--requests", tmp_path / "x")
    assert code == 1 and f"{tmp_path / 'x'} should be a TFRecord file of request Examples." in output
    code, output = _run(loadtest, server.address, "--token_file", tmp_path / "x")
    assert code == 1 and "`token` should be sent over TLS only" in output
    (run_dir / "request.json").unlink()
    code, output = _run(loadtest, server.address)
    assert code == 1 and f"{run_dir} holds no run. Run `make run` first" in output


def test_a_push_waits_until_all_serve_it(run_dir, server):
    server.version = 1
    with RecordingServer() as other:
        code, output = _run(push, "--wait", server.address, other.address, "--seconds", 0)
        assert code == 1
        assert output.splitlines() == [
            f"{other.address} serves 3 of demo (0.0 s)",
            "Error: version 3 is not served after 0 s by",
            f"  {server.address}: does not know it; it has 1 AVAILABLE, 2 END",
        ]
        server.failures = [grpc.StatusCode.NOT_FOUND]
        server.version = 3
        code, output = _run(push, "--wait", server.address, other.address, "--seconds", 30)
    assert code == 0, output
    assert sorted(line.partition(" (")[0] for line in output.splitlines()[:2]) == sorted(
        f"{one.address} serves 3 of demo" for one in (server, other)
    )
    assert output.splitlines()[2] == f"next            lcr-ser loadtest {server.address}"
    assert {call.model_spec.name for call in server.calls} == {"demo"}


def test_a_version_that_is_not_served_is_named_with_its_state_and_error(run_dir, server):
    code, output = _run(push, "--wait", server.address, "--version", 2, "--seconds", 0)
    assert code == 1 and output.splitlines()[1] == f"  {server.address}: END gone"
    code, output = _run(push, "--wait", "127.0.0.1:1", "--seconds", 0)
    assert code == 1 and "  127.0.0.1:1: UNAVAILABLE: no answer from 127.0.0.1:1" in output
    code, output = _run(push, server.address)
    assert code == 2 and "`make run`" in output


def test_each_address_of_a_name_is_asked(run_dir, server, monkeypatch):
    port = int(server.address.rpartition(":")[2])

    def look_up(host, service, **options):
        assert (host, service) == ("ranking.example", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 2)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    name = f"dns:///ranking.example:{port}"
    with RecordingServer(address=f"127.0.0.2:{port}") as second:
        second.version = 1
        code, output = _run(push, "--wait", name, "--seconds", 0)
        assert code == 1
        assert f"127.0.0.1:{port} serves 3" in output and f"  127.0.0.2:{port}: does not know it" in output
        second.version = 3
        assert _run(push, "--wait", name, "--seconds", 0)[0] == 0


def test_addresses():
    assert [one.address for one in replicas("ranking:8500")] == ["ranking:8500"]
    assert ("127.0.0.1:8500", "127.0.0.1") in replicas("dns:///127.0.0.1:8500")
    assert replicas("dns:///[::1]:8500") == [("[::1]:8500", "::1")]
    with pytest.raises(ValueError, match="should be dns:///HOST:PORT. Received: dns:///ranking."):
        replicas("dns:///ranking")


def _flags(lines):
    return dict(line.split("=", 1) for line in lines)


def test_tf_serving_gets_the_flags_of_production_but_for_ports_and_model(tmp_path):
    wanted = Wanted(tmp_path / "demo", 8600, 0, batching=True)
    flags = _flags(server_flags(wanted, 3, tmp_path / "b", tmp_path / "m"))
    start = ROOT / "serving" / "deploy" / "start"
    production = _flags(
        subprocess.run([start, "flags", "3"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    )
    ours = {
        "--port": "8600",
        "--rest_api_port": "0",
        "--model_name": "demo",
        "--model_base_path": str(tmp_path / "demo"),
        "--batching_parameters_file": str(tmp_path / "b"),
        "--monitoring_config_file": str(tmp_path / "m"),
    }
    same = {name: value for name, value in production.items() if name in flags and name not in ours}
    assert flags == {**same, **ours}
    assert production.keys() - flags.keys() == {
        "--grpc_socket_path",
        "--model_config_file",
        "--model_config_file_poll_wait_seconds",
        "--allow_version_labels_for_unavailable_models",
    }
    alone = _flags(server_flags(wanted._replace(batching=False), 3, tmp_path / "b", tmp_path / "m"))
    assert flags.keys() - alone.keys() == {"--enable_batching", "--batching_parameters_file"}


def test_docker_and_the_development_server_are_on_loopback(tmp_path):
    wanted = Wanted(tmp_path / "demo", 8600, 8601, batching=True)
    command = docker_command(wanted, 2, tmp_path / "b", "image:1")
    assert [part for part in command if part.startswith("--publish")] == [
        "--publish=127.0.0.1:8600:8500",
        "--publish=127.0.0.1:8601:8501",
    ]
    assert f"--mount=type=bind,source={tmp_path / 'demo'},target=/models/demo,readonly" in command
    at = command.index("image:1")
    inside = _flags(command[at + 1 :])
    assert inside["--model_base_path"] == "/models/demo" and inside["--port"] == "8500"
    own = development_command(wanted)
    assert not [part for part in own if part.startswith("--host")]  # its default is loopback
    assert own[1:3] == ["-m", "serving.dev_server"] and "--rest_api_port=8601" in own


def test_what_stands_in_the_way_of_serving_is_told(run_dir, tmp_path):
    code, output = _run(serve, "--model_dir", tmp_path / "none")
    assert code == 1 and f"{tmp_path / 'none'} holds no pushed model. Run `make run` first." in output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = _run(serve, "--port", port)
    assert code == 1 and f"port {port} of 127.0.0.1: Address already in use. Give another one." in output


@contextlib.contextmanager
def _serving(run_dir, path, *options):
    """The command as a process, its port, and what it has said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shutil.rmtree(run_dir / "serving" / "demo" / "3")
    export(3, run_dir / "serving" / "demo" / "3")
    code = "import sys; from tfx_pipeline.cli import main; sys.argv = ['lcr-ser', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", code, "serve", "--port", str(port), *options]
    said = run_dir / "said"
    with said.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "PATH": path})
        try:
            end = time.monotonic() + 120
            while "ready  " not in said.read_text():
                assert process.poll() is None and time.monotonic() < end, said.read_text()
                time.sleep(0.1)
            yield process, port, said
        finally:
            process.kill()
            process.wait()


def _answers_and_ends(run_dir, path, title, *options):
    with _serving(run_dir, path, *options) as (process, port, said):
        request = RankRequest(REQUEST["user"], REQUEST["candidates"], REQUEST["rec_items"])
        with RankingClient(f"127.0.0.1:{port}", "demo", 30) as client:
            answer = client.rank(request)
        assert [row.score for row in answer.candidates] == sorted(
            (expected_score(3, request, item) for item in request.candidates), reverse=True
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        output = said.read_text()
        assert re.search(rf"^server +{title}", output, re.MULTILINE), output
        assert f"lcr-ser loadtest 127.0.0.1:{port} --model_name demo" in output and output.endswith("ended\n")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_without_tf_serving_and_docker_it_is_the_development_server(run_dir, tmp_path):
    (tmp_path / "bin").mkdir()
    _answers_and_ends(run_dir, str(tmp_path / "bin"), "the development server, for a first look")


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason=MISSING)
@pytest.mark.parametrize("options", [[], ["--no-batching"]])
def test_where_tf_serving_is_on_the_path_it_serves(run_dir, options):
    _answers_and_ends(run_dir, os.environ["PATH"], f"TensorFlow Serving, {BINARY}", *options)


@pytest.mark.slow
def test_a_server_that_ends_by_itself_is_told_of(run_dir, tmp_path):
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "cat", "nproc"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    binary = tmp_path / "bin" / "tensorflow_model_server"
    binary.write_text(f"#!{shutil.which('bash')}\necho no such flag\nexit 7\n")
    binary.chmod(0o755)
    code = "import sys; from tfx_pipeline.cli import main; sys.argv = ['lcr-ser', 'serve', '--port', '0']; main()"
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment, timeout=120
    )
    log = run_dir / "logs" / "serve.log"
    assert done.returncode == 1
    assert done.stderr.endswith(f"Error: the server ended with 7: no such flag. Read {log}.\n")
