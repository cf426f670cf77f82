"""What the client asks and how it takes the answers, of a server that answers from NumPy; for threads and asyncio."""

import asyncio
import collections
import dataclasses
import datetime
import ipaddress
import socketserver
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import prometheus_client
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serving.client import (
    AsyncRankingClient,
    ClientMetrics,
    History,
    RankingClient,
    RankingError,
    RankRequest,
    Retries,
    Search,
    Tls,
)
from tests.support.recording_server import VERSION, RecordingServer

HISTORY = History("u", ["i1", "i2"], [Search(["w"], ["x"]), Search(["v"]), Search(["t"])])
REQUEST = RankRequest("u", ["aa", "b", "cccc"], HISTORY.rec_items, HISTORY.searches)
QUICK = Retries(first_pause=0.001)


class Awaited:
    """An AsyncRankingClient whose methods are waited for."""

    def __init__(self, *args, **kwargs):
        self._client, self._loop = AsyncRankingClient(*args, **kwargs), asyncio.new_event_loop()

    def __getattr__(self, name):
        return lambda *args, **kwargs: self._loop.run_until_complete(getattr(self._client, name)(*args, **kwargs))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


@pytest.fixture
def server():
    with RecordingServer() as running:
        yield running


@pytest.fixture(params=[RankingClient, Awaited], ids=["threads", "asyncio"])
def kind(request):
    return request.param


@pytest.fixture
def client(kind, server):
    with kind(server.address, retries=QUICK) as connected:
        yield connected


def _rows(answer):
    return [(row.item, row.rank, row.score) for row in answer.candidates]


RANKED = [("cccc", 1, 4.0), ("aa", 2, 2.0), ("b", 3, 1.0)]


def test_rank_puts_candidates_in_order_and_names_the_version(client):
    answer = client.rank(REQUEST)
    assert _rows(answer) == RANKED
    assert answer.version == VERSION


def test_rank_batch_cuts_each_answer_to_its_own_candidates(client, server):
    one, two = client.rank_batch([REQUEST, RankRequest("other", ["zz"])])
    assert _rows(one) == RANKED
    assert _rows(two) == [("zz", 1, 2.0)]
    [(signature, inputs)] = server.asked
    assert signature == "rank"
    assert inputs["candidates"].tolist() == [[b"", b"aa", b"b", b"cccc"], [b"", b"zz", b"", b""]]


def test_a_merged_batch_gives_more_columns_which_are_cut(client, server):
    def merged(inputs):
        wider = {**inputs, "candidates": np.pad(inputs["candidates"], ((0, 0), (0, 3)), constant_values=b"")}
        return rank(wider)

    rank = server.answers["rank"]
    server.answers["rank"] = merged
    assert _rows(client.rank(REQUEST)) == RANKED


def test_recommend_gives_what_there_is_up_to_k(client, server):
    two, all_there_are = client.recommend(HISTORY, 2), client.recommend(HISTORY, 6, leave_out_clicked=False)
    assert [(row.item, row.score) for row in two.items] == [("dddd", 4.0), ("ccü", 4.0)]
    assert [row.item for row in all_there_are.items] == ["dddd", "ccü", "bb", "a"]
    assert two.version == VERSION
    asked = [(inputs["k"], inputs["leave_out_clicked"]) for _, inputs in server.asked]
    assert [(k.tolist(), k.dtype, leave.tolist(), leave.dtype) for k, leave in asked] == [
        ([2], np.int32, [True], np.bool_),
        ([6], np.int32, [False], np.bool_),
    ]


def test_explain_gives_a_weight_to_each_event_of_the_history(client, server):
    answer = client.explain(HISTORY, "item7")
    # The server's weights are a hundredth of their column, the first of which is padding.
    assert answer.rec_weights == pytest.approx((0.01, 0.02))
    assert answer.search_weights == pytest.approx((0.01, 0.02, 0.03))
    assert (answer.score, answer.rec_steps, answer.search_steps) == (5.0, (0.25, 0.5), (-0.25, 0.75))
    assert answer.version == VERSION
    assert server.asked[0][1]["item"].tolist() == [b"item7"]
    assert client.explain(History("u"), "i").rec_weights == ()


def test_status_lists_the_versions(client):
    assert [(one.version, one.state, one.error) for one in client.status()] == [
        (VERSION, "AVAILABLE", ""), (2, "END", "gone"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda client: client.recommend(HISTORY, 101), "`k` should be from 1 to 100. Received: 101"),
        (lambda client: client.recommend(HISTORY, 0), "Received: 0"),
        (lambda client: client.explain(HISTORY, " "), "item: expected strings that are not blank, got ' '"),
        (lambda client: client.score(client.encode(HISTORY), []), "candidates: expected at least one"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(client, server, ask, says):
    with pytest.raises(ValueError, match=says):
        ask(client)
    assert [signature for signature, _ in server.asked if signature != "encode"] == []


# --- states


def test_a_state_is_scored_by_the_version_that_made_it(client, server):
    state = client.encode(HISTORY)
    assert (state.version, state.history) == (VERSION, HISTORY)
    answer = client.score(state, REQUEST.candidates)
    assert _rows(answer) == [(item, rank, score + 2) for item, rank, score in RANKED]  # 2 clicks
    assert (answer.version, answer.state, answer.encoded_anew) == (VERSION, state, False)
    assert server.calls[-1].model_spec.version.value == VERSION
    assert not server.calls[-2].model_spec.HasField("version")


def test_a_state_is_scored_by_its_version_whatever_label_made_it(kind, server):
    with kind(server.address, label="stable") as client:
        client.score(client.encode(HISTORY), ["a"])
    asked = [(call.model_spec.version_label, call.model_spec.version.value) for call in server.calls]
    assert asked == [("stable", 0), ("stable", 0), ("", VERSION)]


def test_a_state_of_a_version_that_is_gone_is_encoded_anew_once(client, server):
    state = client.encode(HISTORY)
    server.version = 9
    answer = client.score(state, ["aa"])
    assert (answer.version, answer.encoded_anew, answer.state.version) == (9, True, 9)
    assert _rows(answer) == [("aa", 1, 4.0)]
    assert not client.score(answer.state, ["aa"]).encoded_anew


def test_a_state_of_another_model_under_its_number_is_encoded_anew_once(client, server):
    state = client.encode(HISTORY)
    foreign = dataclasses.replace(state, arrays={**state.arrays, "fingerprint": np.array([78])})
    answer = client.score(foreign, ["aa"])
    assert answer.encoded_anew
    assert _rows(answer) == [("aa", 1, 4.0)]
    server.answers["encode"] = lambda _: foreign.arrays
    with pytest.raises(RankingError, match="version 3 gives user 'u' scores of NaN"):
        client.score(foreign, ["aa"])
    assert [signature for signature, _ in server.asked[-3:]] == ["score", "encode", "score"]


def test_a_state_is_not_encoded_anew_for_another_reason(client, server):
    state = client.encode(HISTORY)
    server.failures = [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(RankingError, match="INVALID_ARGUMENT"):
        client.score(state, ["aa"])
    assert [signature for signature, _ in server.asked] == ["encode"]


# --- which version, and what it reads


def test_a_label_or_a_version_is_asked_for(kind, server):
    with kind(server.address, label="stable") as labelled, kind(server.address, version=VERSION) as pinned:
        labelled.rank(REQUEST)
        pinned.rank(REQUEST)
        assert [(call.model_spec.version_label, call.model_spec.version.value) for call in server.calls] == [
            ("stable", 0), ("stable", 0), ("", VERSION), ("", VERSION),
        ]  # fmt: skip
    with pytest.raises(ValueError, match="`version` or `label`"):
        kind(server.address, label="stable", version=1)


def test_the_client_follows_a_model_that_reads_something_else(client, server):
    client.rank(REQUEST)
    server.reads["rank"] = ("rec_items", "candidates")
    assert _rows(client.rank(REQUEST)) == RANKED
    assert server.asked[-1][1].keys() == {"rec_items", "candidates"}
    server.reads["rank"] = ("rec_items", "rec_times", "candidates")
    with pytest.raises(RankingError, match=r"the served model reads \['rec_times'\]: give the time of every click"):
        client.rank(REQUEST)
    timed = dataclasses.replace(REQUEST, rec_times=[5, 6], searches=())
    assert _rows(client.rank(timed)) == RANKED
    assert server.asked[-1][1]["rec_times"].tolist() == [[0, 5, 6]]
    server.reads["rank"] = ("rec_items", "weather", "candidates")
    with pytest.raises(RankingError, match=r"the served model reads \['weather'\]: update this client"):
        client.rank(REQUEST)


def test_a_signature_that_the_model_lacks_is_named(client, server):
    del server.reads["recommend"]
    with pytest.raises(RankingError, match=f"{server.address} has no signature 'recommend', it has .*'rank'") as caught:
        client.recommend(HISTORY)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"scores": np.zeros((1, 4), np.float32)}, r"gives no \['ranks'\]"),
        ({"scores": np.zeros((1, 3), np.float32), "ranks": np.ones((1, 4), np.int32)}, "cannot be read"),
        ({"scores": np.zeros((2, 4), np.float32), "ranks": np.ones((2, 4), np.int32)}, "cannot be read"),
        ({"scores": np.full((1, 4), np.nan), "ranks": np.ones((1, 4), np.int32)}, "gives user 'u' scores of NaN"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error(client, server, outputs, says):
    server.answers["rank"] = lambda _: outputs
    with pytest.raises(RankingError, match=says):
        client.rank(REQUEST)


@pytest.mark.parametrize(
    ("signature", "output", "ask"),
    [
        ("recommend", "scores", lambda client: client.recommend(HISTORY, 2)),
        ("explain", "score", lambda client: client.explain(HISTORY, "i")),
    ],
)
def test_a_request_that_cannot_be_scored_is_an_error(client, server, signature, output, ask):
    answer = server.answers[signature]
    server.answers[signature] = lambda inputs: {**answer(inputs), output: answer(inputs)[output] * np.float32(np.nan)}
    with pytest.raises(RankingError, match="version 3 gives user 'u' scores of NaN") as caught:
        ask(client)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


# --- retries and deadlines

UNAVAILABLE, EXCEEDED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED


def test_what_reached_no_server_is_sent_again(client, server):
    server.failures = [UNAVAILABLE, None, UNAVAILABLE, UNAVAILABLE]
    assert _rows(client.rank(REQUEST)) == RANKED
    assert len(server.calls) == 5


@pytest.mark.parametrize(
    "code", [EXCEEDED, *(grpc.StatusCode[name] for name in ("INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN", "CANCELLED"))]
)
def test_nothing_else_is_sent_again(client, server, code):
    client.rank(REQUEST)
    sent = len(server.calls)
    server.failures = [code]
    with pytest.raises(RankingError) as caught:
        client.rank(REQUEST)
    assert caught.value.code is code
    assert len(server.calls) == sent + 1


def test_a_call_is_sent_three_times_at_the_most(client, server):
    server.failures = [UNAVAILABLE] * 3
    with pytest.raises(RankingError, match=f"no answer from {server.address}: told to fail.*plain text") as caught:
        client.rank(REQUEST)
    assert caught.value.code is UNAVAILABLE
    assert len(server.calls) == 3


def test_retries_are_a_tenth_of_the_calls(kind, server):
    with kind(server.address, retries=Retries(attempts=2, reserve=0.0, first_pause=0.001)) as client:
        client.rank(REQUEST)
        server.calls.clear()
        server.failures = [UNAVAILABLE] * 1_000
        for _ in range(100):
            with pytest.raises(RankingError):
                client.status()
        # The two calls of `rank`, and 100: a retry for each ten.
        assert len(server.calls) == 100 + 102 // 10
        server.failures = []


def test_a_quiet_time_saves_up_no_more_than_the_reserve(kind, server):
    with kind(server.address, retries=Retries(attempts=2, reserve=3.0, first_pause=0.001)) as client:
        for _ in range(60):
            client.status()
        server.calls.clear()
        server.failures = [UNAVAILABLE] * 1_000
        for _ in range(9):
            with pytest.raises(RankingError):
                client.status()
        assert len(server.calls) == 9 + 3
        server.failures = []


class EvenPauses(Retries):
    def pause(self, attempt):
        return 0.3


def test_the_deadline_holds_for_attempts_and_pauses_together(kind, server):
    with kind(server.address, timeout=5.0, retries=EvenPauses()) as client:
        client.rank(REQUEST)
        del server.seconds[:], server.calls[:]
        server.failures = [UNAVAILABLE, UNAVAILABLE]
        client.rank(REQUEST)
        first, second, third = server.seconds
        # gRPC sends what is left rounded up, by less than a tenth.
        assert first <= 5.0 + 0.1
        assert second <= 5.0 - 0.3 + 0.1
        assert third <= 5.0 - 0.6 + 0.1
        server.failures = [UNAVAILABLE] * 2
        del server.calls[:]
        with pytest.raises(RankingError) as caught:
            client.rank(REQUEST, timeout=0.29)
        assert caught.value.code is UNAVAILABLE  # a pause would have ended behind the deadline
        assert len(server.calls) == 1


def test_an_answer_that_comes_too_late_is_not_waited_for_nor_asked_for_again(kind, server):
    def slow(inputs):
        time.sleep(1.0)
        return rank(inputs)

    rank = server.answers["rank"]
    with kind(server.address, retries=QUICK) as client:
        client.rank(REQUEST)
        del server.calls[:]
        server.answers["rank"] = slow
        with pytest.raises(RankingError, match=f"no answer from {server.address} within 0.3 s") as caught:
            client.rank(REQUEST, timeout=0.3)
        assert caught.value.code is EXCEEDED
        assert len(server.calls) == 1


def test_pauses_grow_and_are_drawn_from_zero_up():
    retries = Retries(first_pause=0.1, longest_pause=0.35)
    drawn = [[retries.pause(number) for _ in range(400)] for number in range(4)]
    for pauses, longest in zip(drawn, (0.1, 0.2, 0.35, 0.35), strict=True):
        assert 0 <= min(pauses) < 0.1 * longest
        assert 0.9 * longest < max(pauses) <= longest


# --- connections and addresses


def test_many_threads_share_a_connection(server):
    with RankingClient(server.address) as client, ThreadPoolExecutor(4) as pool:
        assert [_rows(answer) for answer in pool.map(client.rank, [REQUEST] * 20)] == [RANKED] * 20
    assert len(server.peers) == 1


def _shares(servers):
    return [sum(1 for signature, _ in server.asked if signature == "rank") for server in servers]


def test_several_servers_take_turns_and_one_that_is_gone_is_not_missed(kind, until):
    with RecordingServer() as one, RecordingServer() as two:
        with kind([one.address, two.address], retries=QUICK) as client:

            def both():
                client.rank(REQUEST)
                return min(_shares([one, two])) > 0

            until(both)  # both connections are up
            before = _shares([one, two])
            for _ in range(20):
                client.rank(REQUEST)
            assert [now - then for now, then in zip(_shares([one, two]), before, strict=True)] == [10, 10]
            one.__exit__()
            for _ in range(20):
                client.rank(REQUEST)
            assert _shares([two])[0] >= before[1] + 10 + 20


def test_a_name_is_looked_up_by_grpc(kind, server):
    with kind(f"dns:///localhost:{server.address.rpartition(':')[2]}") as client:
        assert _rows(client.rank(REQUEST)) == RANKED


class Names(socketserver.BaseRequestHandler):
    """A name server for which every name is 127.0.0.1 and 127.0.0.2."""

    def handle(self):
        query, sender = self.request
        end = query.index(b"\0", 12) + 5  # behind the name, its type and its class
        addresses = [bytes((127, 0, 0, last)) for last in (1, 2)] if query[end - 4 : end - 2] == b"\0\x01" else []
        answers = b"".join(b"\xc0\x0c\0\x01\0\x01" + struct.pack(">IH", 60, 4) + one for one in addresses)
        head = query[:2] + b"\x81\x80" + struct.pack(">4H", 1, len(addresses), 0, 0)
        sender.sendto(head + query[12:end] + answers, self.client_address)


def test_all_addresses_of_a_name_take_turns(kind, until):
    with (
        socketserver.UDPServer(("127.0.0.1", 0), Names) as names,
        RecordingServer() as one,
        RecordingServer(address=f"127.0.0.2:{one.address.rpartition(':')[2]}") as two,
    ):
        threading.Thread(target=names.serve_forever, daemon=True).start()
        port = one.address.rpartition(":")[2]
        with kind(f"dns://127.0.0.1:{names.server_address[1]}/ranking.example:{port}") as client:

            def both():
                client.rank(REQUEST)
                return min(_shares([one, two])) > 0

            until(both)
        names.shutdown()


@pytest.mark.parametrize("addresses", [["a.example:8500", "b.example:8500"], ["127.0.0.1:1", "[::1]:1"], []])
def test_several_names_are_refused_with_what_to_do(addresses):
    with pytest.raises(ValueError, match=r"several addresses should all be `IP:port`.*`dns:///name:port`"):
        RankingClient(addresses)


def test_addresses_of_ipv6_are_taken():
    assert RankingClient(["[::1]:1", "[::2]:1"])._connection.target == "ipv6:[::1]:1,[::2]:1"


def test_a_server_that_comes_back_is_found_again(kind):
    with RecordingServer() as server:
        address = server.address
        with kind(address, retries=Retries(attempts=50, reserve=50.0, first_pause=0.05, longest_pause=0.2)) as client:
            client.rank(REQUEST)
            server.__exit__()
            with RecordingServer(address=address):
                assert _rows(client.rank(REQUEST)) == RANKED


# --- TLS and token


def _signed(name, issuer=None, issuer_key=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(issuer_key or key, hashes.SHA256())
    )
    return certificate, key


def _pem(certificate, key):
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return _signed("authority")


@pytest.fixture(scope="module")
def root(authority):
    return _pem(*authority)[1]


@pytest.fixture(scope="module")
def server_pair(authority):
    return _pem(*_signed("ranking.example", *authority))


@pytest.fixture(scope="module")
def client_pair(authority):
    return _pem(*_signed("shop", *authority))


def test_tls_and_a_token_that_is_asked_for_each_time(kind, root, server_pair):
    tokens = iter(("first", "second"))
    with RecordingServer(grpc.ssl_server_credentials([server_pair])) as server:
        with kind(server.address, tls=Tls(root), token=lambda: next(tokens)) as client:
            assert _rows(client.rank(REQUEST)) == RANKED
        assert [headers["authorization"] for headers in server.headers] == ["Bearer first", "Bearer second"]
        with kind(server.address, tls=Tls(root, server_name="ranking.example"), token="same") as client:
            client.rank(REQUEST)
        assert server.headers[-1]["authorization"] == "Bearer same"


def test_a_server_of_another_authority_is_not_trusted_and_plain_text_does_not_reach_tls(kind, root, server_pair):
    with RecordingServer(grpc.ssl_server_credentials([server_pair])) as server:
        other = _pem(*_signed("other"))[1]
        for tls, spoken in ((Tls(other), "TLS"), (None, "plain text")):
            with (
                kind(server.address, tls=tls, retries=QUICK, timeout=5.0) as client,
                pytest.raises(
                    RankingError, match=f"no answer from {server.address}: .* does it speak {spoken}"
                ) as caught,
            ):
                client.rank(REQUEST)
            assert caught.value.code is UNAVAILABLE
        assert server.calls == []


def test_mtls_wants_a_client_that_the_authority_knows(kind, root, server_pair, client_pair, tmp_path):
    credentials = grpc.ssl_server_credentials([server_pair], root, require_client_auth=True)
    paths = [tmp_path / name for name in ("root.pem", "key.pem", "chain.pem")]
    for path, content in zip(paths, (root, *client_pair), strict=True):
        path.write_bytes(content)
    with RecordingServer(credentials) as server:
        with kind(server.address, tls=Tls.from_files(*paths)) as client:
            assert _rows(client.rank(REQUEST)) == RANKED
        with kind(server.address, tls=Tls(root), retries=QUICK) as client, pytest.raises(RankingError):
            client.rank(REQUEST)


def test_a_token_is_not_sent_in_plain_text_and_a_key_not_without_its_certificate():
    with pytest.raises(ValueError, match="`token` should be sent over TLS only"):
        RankingClient("localhost:1", token="secret")
    with pytest.raises(ValueError, match="`private_key` and `certificate_chain` should be given together"):
        Tls(private_key=b"key")


# --- metrics


def test_metrics_tell_signatures_and_errors_apart(kind, server):
    registry = prometheus_client.CollectorRegistry()
    with kind(server.address, retries=QUICK, metrics=ClientMetrics(registry)) as client:
        client.rank(REQUEST)
        client.rank(REQUEST)
        client.recommend(HISTORY)
        server.failures = [UNAVAILABLE, None, grpc.StatusCode.INTERNAL]
        client.rank(REQUEST)
        with pytest.raises(RankingError):
            client.recommend(HISTORY)
    counted = collections.Counter()
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith(("_bucket", "_sum", "_created")) and sample.value:
                name = sample.name.removeprefix("lcr_ser_client_")
                counted[(name, *sample.labels.values())] += int(sample.value)
    assert counted == {
        ("seconds_count", "rank"): 4,
        ("seconds_count", "recommend"): 2,
        ("seconds_count", "GetModelMetadata"): 1,
        ("attempts_total", "rank", "OK"): 3,
        ("attempts_total", "rank", "UNAVAILABLE"): 1,
        ("attempts_total", "recommend", "OK"): 1,
        ("attempts_total", "recommend", "INTERNAL"): 1,
        ("attempts_total", "GetModelMetadata", "OK"): 1,
        ("retries_total", "rank"): 1,
    }
