"""Labels that are moved, and several servers behind one client: no call is lost."""

import itertools
import socketserver
import struct
import threading
import time

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from serving.client import RankingClient, RankingError
from tests.support.deployed import NAME, wait_for
from tests.support.servers import (
    DEVELOPMENT,
    KINDS,
    REQUEST,
    TF_SERVING,
    Asking,
    Built,
    client_of,
    free_ports,
    needs_tf_serving,
    serving,
)

pytestmark = [pytest.mark.slow, pytest.mark.long]

_PORTS = free_ports()
ALLOWED = "--allow_version_labels_for_unavailable_models=true"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Built(tmp_path_factory.mktemp("built"))


@pytest.fixture
def model_dir(built, tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    built.publish(folder, 1)
    built.publish(folder, 2)
    return folder


def configuration(model_dir, versions, **labels):
    return (
        f'model_config_list {{ config {{ name: "{NAME}" base_path: "{model_dir}" model_platform: "tensorflow"\n'
        f"  model_version_policy {{ specific {{ {' '.join(f'versions: {one}' for one in versions)} }} }}\n"
        + "".join(f'  version_labels {{ key: "{label}" value: {version} }}\n' for label, version in labels.items())
        + "} }\n"
    )


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the awaited state was not reached"
        time.sleep(0.05)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_labels_name_versions_from_the_start(built, kind, model_dir, tmp_path):
    (tmp_path / "models.config").write_text(configuration(model_dir, [1, 2], stable=1, canary=2))
    port, flags = next(_PORTS), [f"--model_config_file={tmp_path / 'models.config'}"]
    flags += [ALLOWED] if kind == TF_SERVING else []  # ours allows it always
    with serving(kind, model_dir, port, tmp_path, flags), client_of(port) as client:
        wait_for(client, 1)
        wait_for(client, 2)
        for label, version in (("stable", 1), ("canary", 2), (None, 2)):
            with client_of(port, label=label) as labelled:
                answer = labelled.rank(REQUEST)
                assert answer.version == version
                assert built.right(answer)
        with (
            pytest.raises(RankingError, match="Unrecognized servable version label"),
            client_of(port, label="x") as one,
        ):
            one.rank(REQUEST)


def by_file(path, _port, text):
    staged = path.with_suffix(".staged")
    staged.write_text(text)
    staged.rename(path)


def by_call(_path, port, text):
    """What an admin sends to one server; gives the server's answer."""
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
    return reply.status.error_message


@needs_tf_serving
@pytest.mark.parametrize("edit", [by_file, by_call])
def test_a_label_is_moved_and_moved_back_without_a_failed_call(built, model_dir, tmp_path, edit):
    """In two edits, as docs/serving.md says: the version, and once it is AVAILABLE the label."""
    path, port = tmp_path / "models.config", next(_PORTS)
    path.write_text(configuration(model_dir, [1], stable=1))
    flags = [f"--model_config_file={path}", ALLOWED]
    flags += ["--model_config_file_poll_wait_seconds=1"] if edit is by_file else []
    with serving(TF_SERVING, model_dir, port, tmp_path, flags), client_of(port) as client:
        wait_for(client, 1)
        with Asking(built, lambda: client_of(port, label="stable")) as asking:

            def answers(version):
                return lambda: asking.failures or all(seen[-1:] == [version] for seen in asking.versions)

            until(answers(1))
            edit(path, port, configuration(model_dir, [1, 2], stable=1, canary=2))
            wait_for(client, 2)
            with client_of(port, label="canary") as canary:
                assert built.right(canary.rank(REQUEST))
            assert all(set(seen) == {1} for seen in asking.versions)
            edit(path, port, configuration(model_dir, [1, 2], stable=2, canary=2))
            until(answers(2))
            edit(path, port, configuration(model_dir, [1, 2], stable=1, canary=2))
            until(answers(1))
            edit(path, port, configuration(model_dir, [1], stable=1))  # the canary goes
            until(lambda: [one.version for one in client.status() if one.state == "AVAILABLE"] == [1])
        assert (asking.failures, asking.wrong) == ([], [])
        for seen in asking.versions:
            assert [version for version, _ in itertools.groupby(seen)] == [1, 2, 1]


@needs_tf_serving
def test_a_version_and_a_moved_label_in_one_edit_are_refused_and_calls_go_on(built, model_dir, tmp_path):
    path, port = tmp_path / "models.config", next(_PORTS)
    path.write_text(configuration(model_dir, [1], stable=1))
    with (
        serving(TF_SERVING, model_dir, port, tmp_path, [f"--model_config_file={path}", ALLOWED]),
        client_of(port, label="stable") as client,
    ):
        wait_for(client, 1)
        with pytest.raises(grpc.RpcError) as refused:
            by_call(path, port, configuration(model_dir, [1, 2], stable=2))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION, refused.value
        assert "2" in refused.value.details()
        answer = client.rank(REQUEST)
        assert (answer.version, built.right(answer)) == (1, True)
        assert [one.version for one in client.status()] == [1]


@needs_tf_serving
def test_labels_stop_a_server_at_the_start_unless_it_allows_them(built, model_dir, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(configuration(model_dir, [1], stable=1))
    port = next(_PORTS)
    with serving(TF_SERVING, model_dir, port, tmp_path, [f"--model_config_file={path}"]) as process:
        assert process.wait(60) == 255
    assert "Failed to start server" in (tmp_path / f"{port}.log").read_text()


class Fleet:
    """Servers, each with a version of its own number, so that an answer tells which one it is from."""

    def __init__(self, kind, built, folder):
        self._kind, self._built, self._folder, self._running = kind, built, folder, {}

    def start(self, number, port, host="127.0.0.1"):
        folder = self._folder / str(number)
        (folder / NAME).mkdir(parents=True)
        self._built.publish(folder / NAME, number)
        flags = [f"--host={host}"] if self._kind == DEVELOPMENT else []
        self._running[number] = serving(self._kind, folder / NAME, port, folder, flags)
        self._running[number].__enter__()

    def kill(self, number):
        self._running.pop(number).__exit__(None, None, None)  # SIGKILL

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in list(self._running):
            self.kill(number)


def up(address, number):
    with RankingClient(address, NAME) as client:
        wait_for(client, number)


def answering(asking, since):
    """The servers whose answers have come since, to any of the clients."""
    return {version for seen, begin in zip(asking.versions, since, strict=True) for version in seen[begin:]}


def now(asking):
    return [len(seen) for seen in asking.versions]


@needs_tf_serving
def test_a_listed_server_comes_and_one_is_killed_and_no_call_is_lost(built, tmp_path):
    """TensorFlow Serving opens no port before it has a version; ours does, and says NOT_FOUND until then."""
    with Fleet(TF_SERVING, built, tmp_path) as fleet:
        ports = [next(_PORTS) for _ in range(3)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        for number in (1, 2):
            fleet.start(number, ports[number - 1])
        for number in (1, 2):
            up(addresses[number - 1], number)
        with Asking(built, lambda: RankingClient(addresses, NAME)) as asking:
            until(lambda: answering(asking, [0] * 4) == {1, 2})
            fleet.start(3, ports[2])
            until(lambda: 3 in answering(asking, [0] * 4))
            fleet.kill(2)
            time.sleep(0.5)
            since = now(asking)
            until(lambda: all(len(seen) > begin + 10 for seen, begin in zip(asking.versions, since, strict=True)))
            assert answering(asking, since) == {1, 3}
        assert (asking.failures, asking.wrong) == ([], [])


class Names(socketserver.BaseRequestHandler):
    """A name server for which every name has the addresses 127.0.0.N of `server.known`."""

    def handle(self):
        query, sender = self.request
        end = query.index(b"\0", 12) + 5  # behind the name, its type and its class
        known = self.server.known if query[end - 4 : end - 2] == b"\0\x01" else ()
        answers = b"".join(
            b"\xc0\x0c\0\x01\0\x01" + struct.pack(">IH", 60, 4) + bytes((127, 0, 0, one)) for one in known
        )
        head = query[:2] + b"\x81\x80" + struct.pack(">4H", 1, len(known), 0, 0)
        sender.sendto(head + query[12:end] + answers, self.client_address)


def test_a_server_that_was_added_to_a_name_takes_the_place_of_a_killed_one(built, tmp_path):
    """The development server, which can listen on several addresses of a machine: a name has one port."""
    port = next(_PORTS)
    with (
        Fleet(DEVELOPMENT, built, tmp_path) as fleet,
        socketserver.UDPServer(("127.0.0.1", 0), Names) as names,
    ):
        names.known = [1, 2]
        threading.Thread(target=names.serve_forever, daemon=True).start()
        for number in (1, 2):
            fleet.start(number, port, f"127.0.0.{number}")
        for number in (1, 2):
            up(f"127.0.0.{number}:{port}", number)
        target = f"dns://127.0.0.1:{names.server_address[1]}/ranking.example:{port}"
        with Asking(built, lambda: RankingClient(target, NAME)) as asking:
            until(lambda: answering(asking, [0] * 4) == {1, 2})
            fleet.start(3, port, "127.0.0.3")
            up(f"127.0.0.3:{port}", 3)
            names.known = [1, 2, 3]
            fleet.kill(1)
            until(lambda: 3 in answering(asking, [0] * 4))  # gRPC looks a name up every 30 seconds at the most
        names.shutdown()
        assert (asking.failures, asking.wrong) == ([], [])
