"""T12, TLS and roles: a real nginx with the shipped configuration, before a small server of TF Serving's services.

It is installed by `.ci/run`; elsewhere `apt-get install nginx-light`.
"""

import datetime
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.limits import MAX_MESSAGE_BYTES

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
CLIENT, ADMIN = (("authorization", "Bearer c1"),), (("authorization", "Bearer a1"),)
METRICS = b"# TYPE :tensorflow:serving:request_count counter\n"
NOW = datetime.datetime.now(datetime.timezone.utc)

if NGINX is None and os.environ.get("CI"):
    raise RuntimeError("CI tests the proxy: nginx should be installed (apt-get install nginx-light)")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")


class Authority:
    """A CA that writes certificates into a folder."""

    def __init__(self, folder, name):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.path = folder / f"{name}.crt"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name, host="localhost", end=NOW + datetime.timedelta(days=1)):
        """Key and certificate in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName([x509.DNSName(host)]), end)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret, certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(self, subject, key, extension, end=NOW + datetime.timedelta(days=1)):
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=2)).not_valid_after(end)
        return builder.add_extension(extension, critical=False).sign(self.key, hashes.SHA256())


class Backend(
    prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):  # fmt: skip
    """Answers as TF Serving does, and notes which calls came, with how many seconds left."""

    def __init__(self):
        self.calls, self.slow = [], threading.Event()

    def _note(self, name, context, answer):
        self.calls.append((name, context.time_remaining()))
        return answer

    def Predict(self, request, context):
        if request.model_spec.signature_name == "slow":
            self.slow.set()
            time.sleep(1)
        if request.model_spec.name == "other":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(other)")
        return self._note("Predict", context, predict_pb2.PredictResponse(model_spec=request.model_spec))

    def GetModelMetadata(self, request, context):
        return self._note("GetModelMetadata", context, get_model_metadata_pb2.GetModelMetadataResponse())

    def Classify(self, request, context):
        raise AssertionError("the proxy lets no Classify through")

    def GetModelStatus(self, request, context):
        return self._note("GetModelStatus", context, get_model_status_pb2.GetModelStatusResponse())

    def HandleReloadConfigRequest(self, request, context):
        return self._note("Reload", context, model_management_pb2.ReloadConfigResponse())


class Rest(http.server.BaseHTTPRequestHandler):
    """TF Serving's REST port: metrics and models alike, for everybody who reaches it."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS if self.path == "/monitoring/prometheus/metrics" else self.path.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """nginx in a folder, with the shipped files: only paths and ports are the test's."""

    def __init__(self, folder, listen, files):
        self.folder, self.port, self.metrics_port, self.rest_port = folder, free_port(), free_port(), free_port()
        run, config = folder / "run", folder / "config"
        for path in (run, config / "tls", config / "tokens"):
            path.mkdir(parents=True)
        for name, content in files.items():
            (config / name).write_bytes(content)
        (config / "tokens/tokens.map").write_text('"Bearer c1" client;\n"Bearer a1" admin;\n')
        for source, target in (("nginx.conf", "nginx.conf"), (listen, "listen.conf")):
            text = (DEPLOY / "proxy" / source).read_text()
            for old, new in (
                ("/etc/lcr-ser", str(config)), ("/run/serving", str(run)), ("/dev/stdout", str(folder / "access.log")),
                ("listen 8443", f"listen {self.port}"), ("listen 8080", f"listen {self.port}"),
                ("listen 9090", f"listen {self.metrics_port}"), (":8501", f":{self.rest_port}"),
            ):  # fmt: skip
                text = text.replace(old, new)
            (config / target).write_text(text)
        self.backend = Backend()
        unlimited = [("grpc.max_receive_message_length", -1)]  # nearly as TF Serving's default: 2 GB
        self.grpc_server = grpc.server(ThreadPoolExecutor(4), options=unlimited)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self.backend, self.grpc_server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self.backend, self.grpc_server)
        self.grpc_server.add_insecure_port(f"unix:{run}/grpc.sock")
        self.rest_server = http.server.ThreadingHTTPServer(("127.0.0.1", self.rest_port), Rest)

    def __enter__(self):
        self.grpc_server.start()
        threading.Thread(target=self.rest_server.serve_forever, daemon=True).start()
        # In the pod both processes are one user's; here root's, where root runs the tests.
        user = "user root;" if os.getuid() == 0 else ""
        command = [NGINX, "-e", "stderr", "-c", f"{self.folder}/config/nginx.conf", "-g", f"daemon off; {user}"]
        self.log = (self.folder / "nginx.log").open("w")
        self.process = subprocess.Popen(command, stderr=self.log)
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "nginx.log").read_text())
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            threading.Event().wait(0.02)
        raise RuntimeError("nginx does not listen")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.grpc_server.stop(None)
        self.rest_server.shutdown()
        self.rest_server.server_close()
        self.log.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "clients")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, authority):
    key, certificate = authority.issue("lcr-ser")
    files = {"tls/tls.key": key, "tls/tls.crt": certificate, "tls/ca.crt": authority.path.read_bytes()}
    # A short folder: the path of a Unix socket has 107 characters at the most.
    with Proxy(tmp_path_factory.mktemp("p"), "listen-tls.conf", files) as running:
        yield running


@pytest.fixture(scope="module")
def own(authority):
    """A client's key and certificate."""
    return authority.issue("shop")


def ask(proxy, call, credentials, metadata=CLIENT, request=None, service="Predict", timeout=5):
    """The reply, or the status code with which the call was refused."""
    target = f"localhost:{proxy.port}"
    options = [("grpc.enable_http_proxy", 0)]
    channel = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(
        target, options
    )  # fmt: skip
    with channel:
        try:
            return call(channel, request, metadata, timeout)
        except grpc.RpcError as error:
            return error.code()


def predict(channel, request, metadata, timeout):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = request or predict_pb2.PredictRequest(model_spec={"name": "lcr_ser"})
    return stub.Predict(request, metadata=metadata, timeout=timeout)


def metadata_of_model(channel, request, metadata, timeout):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.GetModelMetadata(get_model_metadata_pb2.GetModelMetadataRequest(), metadata=metadata, timeout=timeout)


def status_of_model(channel, request, metadata, timeout):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return stub.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(), metadata=metadata, timeout=timeout)


def reload_models(channel, request, metadata, timeout):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = model_management_pb2.ReloadConfigRequest()
    return stub.HandleReloadConfigRequest(request, metadata=metadata, timeout=timeout)


def classify(channel, request, metadata, timeout):
    from tensorflow_serving.apis import classification_pb2

    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.Classify(classification_pb2.ClassificationRequest(), metadata=metadata, timeout=timeout)


def credentials(authority, own=(None, None)):
    return grpc.ssl_channel_credentials(authority.path.read_bytes(), *own)


def test_a_client_with_certificate_and_token_is_answered(proxy, authority, own):
    proxy.backend.calls.clear()
    for call in (predict, metadata_of_model, status_of_model):
        assert not isinstance(ask(proxy, call, credentials(authority, own)), grpc.StatusCode)
    assert [name for name, _ in proxy.backend.calls] == ["Predict", "GetModelMetadata", "GetModelStatus"]


def test_the_deadline_and_the_errors_of_the_server_pass(proxy, authority, own):
    proxy.backend.calls.clear()
    ask(proxy, predict, credentials(authority, own), timeout=7)
    assert 0 < proxy.backend.calls[0][1] <= 7
    request = predict_pb2.PredictRequest(model_spec={"name": "other"})
    assert ask(proxy, predict, credentials(authority, own), request=request) == grpc.StatusCode.NOT_FOUND


def test_no_wrong_or_expired_certificate_is_refused(proxy, authority, own, tmp_path):
    proxy.backend.calls.clear()
    expired = authority.issue("shop", end=NOW - datetime.timedelta(days=1))
    foreign = Authority(tmp_path, "strangers").issue("shop")
    refused = {
        "none": ask(proxy, predict, credentials(authority)),
        "expired": ask(proxy, predict, credentials(authority, expired)),
        "another CA's": ask(proxy, predict, credentials(authority, foreign)),
    }
    assert refused == dict.fromkeys(refused, grpc.StatusCode.UNAUTHENTICATED)
    assert not proxy.backend.calls


def test_plaintext_is_refused(proxy):
    proxy.backend.calls.clear()
    assert ask(proxy, predict, None) == grpc.StatusCode.UNAVAILABLE
    assert not proxy.backend.calls


@pytest.mark.parametrize("wrong", ["name", "ca", "expired"])
def test_the_client_refuses_a_server_that_is_not_the_one(wrong, proxy, authority, own, tmp_path_factory):
    ours = authority if wrong != "ca" else Authority(tmp_path_factory.mktemp("ca2"), "strangers")
    key, certificate = ours.issue(
        "lcr-ser",
        host="elsewhere" if wrong == "name" else "localhost",
        end=NOW + datetime.timedelta(days=-1 if wrong == "expired" else 1),
    )
    files = {"tls/tls.key": key, "tls/tls.crt": certificate, "tls/ca.crt": authority.path.read_bytes()}
    with Proxy(tmp_path_factory.mktemp("p"), "listen-tls.conf", files) as other:
        assert ask(other, predict, credentials(authority, own)) == grpc.StatusCode.UNAVAILABLE
        assert not other.backend.calls


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer x"),), (("authorization", "c1"),)])
@pytest.mark.parametrize("call", [predict, metadata_of_model, status_of_model, reload_models, classify])
def test_without_a_known_token_nothing_passes(call, metadata, proxy, authority, own):
    proxy.backend.calls.clear()
    assert ask(proxy, call, credentials(authority, own), metadata) == grpc.StatusCode.UNAUTHENTICATED
    assert not proxy.backend.calls


def test_a_reload_needs_the_admin_role(proxy, authority, own):
    proxy.backend.calls.clear()
    assert ask(proxy, reload_models, credentials(authority, own), CLIENT) == grpc.StatusCode.PERMISSION_DENIED
    assert not proxy.backend.calls
    assert not isinstance(ask(proxy, reload_models, credentials(authority, own), ADMIN), grpc.StatusCode)
    assert [name for name, _ in proxy.backend.calls] == ["Reload"]


def test_other_calls_of_the_server_do_not_leave_the_pod(proxy, authority, own):
    assert ask(proxy, classify, credentials(authority, own), ADMIN) == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_as_large_as_the_limit_passes_and_one_byte_more_does_not(proxy, authority, own):
    request = predict_pb2.PredictRequest(model_spec={"name": "lcr_ser"})
    tensor = request.inputs["user"]
    tensor.dtype = 7
    tensor.tensor_content = b"x" * (MAX_MESSAGE_BYTES - request.ByteSize() - 64)
    tensor.tensor_content += b"x" * (MAX_MESSAGE_BYTES - request.ByteSize())
    assert request.ByteSize() == MAX_MESSAGE_BYTES
    assert not isinstance(ask(proxy, predict, credentials(authority, own), request=request), grpc.StatusCode)
    proxy.backend.calls.clear()
    tensor.tensor_content += b"x"
    refused = ask(proxy, predict, credentials(authority, own), request=request)
    assert refused == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not proxy.backend.calls


def test_rest_takes_the_same_certificate_and_token(proxy, authority, own, tmp_path):
    import ssl

    (tmp_path / "key").write_bytes(own[0])
    (tmp_path / "certificate").write_bytes(own[1])
    context = ssl.create_default_context(cafile=str(authority.path))
    stranger = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    base = f"https://localhost:{proxy.port}/v1/models/lcr_ser"

    def code(url, context=context, token="Bearer c1", **kwargs):
        request = urllib.request.Request(url, headers={"authorization": token} if token else {}, **kwargs)
        try:
            with urllib.request.urlopen(request, context=context, timeout=5) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            return error.code

    body = json.dumps({"signature_name": "rank"}).encode()
    assert code(base + ":predict", data=body) == body
    assert code(base + "/labels/canary:predict", data=body) == body
    assert code(base + "/versions/7") == b"/v1/models/lcr_ser/versions/7"
    assert code(base + ":predict", data=body, context=stranger) == 401
    assert code(base + ":predict", data=body, token=None) == 401
    assert code(base + ":predict", method="DELETE") == 403
    assert code(base + ":classify", data=body) == 404
    assert code(f"https://localhost:{proxy.port}/monitoring/prometheus/metrics") == 404


def test_the_metrics_port_shows_metrics_and_no_models(proxy):
    (proxy.folder / "run/versions.prom").write_text("lcr_ser_served_version 7\n")
    base = f"http://localhost:{proxy.metrics_port}"

    def get(path):
        with urllib.request.urlopen(base + path, timeout=5) as reply:
            return reply.read()

    assert get("/monitoring/prometheus/metrics") == METRICS
    assert get("/monitoring/versions") == b"lcr_ser_served_version 7\n"
    assert get("/healthz") == b""
    for path in ("/v1/models/lcr_ser", "/v1/models/lcr_ser:predict", "/monitoring/prometheus/metrics/x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(path)


def test_the_log_names_caller_and_call_but_no_token(proxy, authority, own):
    def calls():
        lines = [json.loads(line) for line in (proxy.folder / "access.log").read_text().splitlines()]
        return [line for line in lines if line["call"] == "/tensorflow.serving.PredictionService/Predict"]

    before = len(calls())
    ask(proxy, predict, credentials(authority, own))
    ask(proxy, predict, credentials(authority, own), (("authorization", "Bearer c1secret"),))
    # A line is written when a call has ended, and its caller may know that earlier.
    deadline = time.monotonic() + 20
    while len(calls()) < before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {"caller": "CN=shop", "role": "client"}.items() <= calls()[before].items()
    log = (proxy.folder / "access.log").read_text()
    assert "Bearer" not in log and "c1secret" not in log


def test_behind_a_mesh_the_token_alone_is_asked_for(tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("p"), "listen-h2c.conf", {}) as plain:
        assert not isinstance(ask(plain, predict, None), grpc.StatusCode)
        assert ask(plain, predict, None, ()) == grpc.StatusCode.UNAUTHENTICATED
        assert ask(plain, reload_models, None) == grpc.StatusCode.PERMISSION_DENIED


def test_without_a_server_calls_are_unavailable(tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("p"), "listen-h2c.conf", {}) as plain:
        plain.grpc_server.stop(None).wait()
        assert ask(plain, predict, None) == grpc.StatusCode.UNAVAILABLE


def test_a_proxy_that_leaves_finishes_its_calls(tmp_path_factory):
    request = predict_pb2.PredictRequest(model_spec={"name": "lcr_ser", "signature_name": "slow"})
    with Proxy(tmp_path_factory.mktemp("p"), "listen-h2c.conf", {}) as plain, ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, plain, predict, None, request=request)
        assert plain.backend.slow.wait(5)
        plain.process.send_signal(signal.SIGQUIT)
        plain.process.wait(10)
        assert running.result() == predict_pb2.PredictResponse(model_spec=request.model_spec)
