"""The client in the processes of applications: forked ones, several event loops, with TensorFlow and without."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.contract import MAX_CANDIDATES, MAX_EVENTS, MAX_RECOMMENDATIONS, MAX_REQUESTS, MAX_STRINGS
from serving.client import AsyncRankingClient, History, RankingClient, RankingError, RankRequest, Search
from serving.limits import MAX_REPLY_BYTES
from tests.support.recording_server import RecordingServer

ROOT = Path(__file__).parents[2]
REQUEST = RankRequest("u", ["aa", "b"])


@pytest.fixture(scope="module")
def server():
    with RecordingServer() as running:
        yield running


def _run(program, server, before=""):
    """A program of an application, in which `address` is the server's."""
    whole = (
        f"{before}\nimport asyncio, os, sys\nfrom serving.client import *\naddress = {server.address!r}\n"
        f"request = RankRequest('u', ['aa', 'b'])\n{program}"
    )
    # Importing the client here has set it for this process and its children.
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


IN_CHILD = """
    child = os.fork()
    if child == 0:
        try:
            print("child", ask(), flush=True)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    print("parent", ask(), os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("before", ["", "import grpc"])
def test_a_process_that_forks_after_a_call_and_its_child_go_on_with_the_same_client(server, before):
    # With retries: now and then gRPC's first call after a fork is UNAVAILABLE ("Wrong file descriptor generation").
    ask = "lambda: f'{client.rank(request).version} {os.getpid() in client._channels}'"
    printed = _run(
        f"with RankingClient(address) as client:\n    ask = {ask}\n    ask(){IN_CHILD}",
        server,
        before,
    )
    assert printed == ["child", "3", "True", "parent", "3", "True", "0"]


def test_an_asyncio_client_goes_on_in_a_child_too(server):
    printed = _run(
        "client = AsyncRankingClient(address)\n"
        "ask = lambda: asyncio.run(client.rank(request)).version\n"
        f"if True:\n    ask(){IN_CHILD}",
        server,
    )
    assert printed == ["child", "3", "parent", "3", "0"]


def test_a_process_forked_while_its_event_loop_is_connected_is_told(server):
    printed = _run(
        """
loop, client = asyncio.new_event_loop(), AsyncRankingClient(address)
loop.run_until_complete(client.rank(request))
child = os.fork()
if child == 0:
    try:
        asyncio.run(client.rank(request))
    except RankingError as error:
        os._exit(7 if "close the client before" in str(error) else 1)
    os._exit(1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), loop.run_until_complete(client.rank(request)).version)
""",
        server,
    )
    assert printed == ["7", "3"]


def test_one_client_serves_two_event_loops_at_once_and_one_after_another(server):
    client = AsyncRankingClient(server.address)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    for loop in (first, second, first):
        assert loop.run_until_complete(client.rank(REQUEST)).version == 3
    assert client._channels.keys() == {first, second}
    for loop in (first, second):
        loop.run_until_complete(client.close())
        loop.close()
    for _ in range(3):
        assert asyncio.run(client.rank(REQUEST)).version == 3
    assert len(client._channels) == 1  # those of closed loops are let go


def test_many_tasks_share_a_connection_and_one_that_is_cancelled_harms_no_other(server):
    async def ask():
        async with AsyncRankingClient(server.address) as client:
            await client.rank(REQUEST)
            tasks = [asyncio.create_task(client.rank(REQUEST)) for _ in range(20)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert len(client._channels) == 1
            return answers

    answers = asyncio.run(ask())
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert {answer.version for answer in answers} == {3}


def test_a_client_that_was_made_connects_at_the_first_call_only_and_may_be_used_after_closing(server):
    client = RankingClient("127.0.0.1:1", timeout=1.0)
    assert client._channels == {}
    client.close()
    with RankingClient(server.address) as used:
        used.rank(REQUEST)
    assert used.rank(REQUEST).version == 3
    used.close()


def test_no_tensorflow_is_imported(server):
    names = "print(*(name for name in sys.modules if name.partition('.')[0].startswith(('tensorflow', 'keras'))))"
    log = "import serving.client.request_log, serving.client.metrics"
    assert _run(f"{log}\nRankingClient(address).rank(request)\nAsyncRankingClient(address)\n{names}", server) == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.long
def test_tensorflow_may_be_imported_too(server, order):
    theirs = "import tensorflow; from tensorflow_serving.apis import predict_pb2"
    before, after = (theirs, "") if order == "before" else ("", theirs)
    read = "from tensorflow_serving.apis import predict_pb2\nprint(predict_pb2.PredictRequest().ByteSize())"
    ask = "with RankingClient(address) as client:\n    print(client.rank(request).version)\n"
    assert _run(f"{ask}{after}\n{ask}{read}", server, before) == ["3", "3", "0"]


ID = b"i" * 512


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "asyncio"])
@pytest.mark.long
def test_the_largest_replies_arrive(kind):
    """As TF Serving writes them: values one by one, where `tf.make_tensor_proto` packs them."""
    ids = np.full((MAX_REQUESTS, MAX_RECOMMENDATIONS), ID, object)
    replies = {
        "recommend": {"items": ids, "scores": np.zeros(ids.shape, np.float32)},
        "explain": {
            **{name: np.zeros((1, MAX_STRINGS), np.float32) for name in ("rec_weights", "search_weights")},
            **{name: np.zeros((1, 20), np.float32) for name in ("rec_steps", "search_steps")},
            "score": np.zeros(1, np.float32),
        },
        "encode": {"state": np.ones((MAX_REQUESTS, 15_000), np.float32)},
    }
    wide = RankRequest("u", [f"{i:05d}" for i in range(MAX_CANDIDATES)])
    history = History("u", ["i"] * MAX_EVENTS, [Search(["w"])] * MAX_EVENTS)
    with RecordingServer() as server:
        server.answers |= {name: lambda _, reply=reply: reply for name, reply in replies.items()}
        client = RankingClient(server.address, timeout=60.0)
        ask = (
            _asking(client) if kind == "threads" else _asking_asyncio(AsyncRankingClient(server.address, timeout=60.0))
        )
        server.answers["rank"] = lambda inputs: {
            name: np.ones(inputs["candidates"].shape, dtype) for name, dtype in (("scores", "f4"), ("ranks", "i4"))
        }
        assert len(ask("rank", wide).candidates) == MAX_CANDIDATES
        assert len(ask("rank_batch", [RankRequest("u", [str(i) for i in range(255)])] * MAX_REQUESTS)) == MAX_REQUESTS
        assert ask("recommend", history, MAX_RECOMMENDATIONS).items[99].item == ID.decode()
        assert len(ask("explain", history, "i").rec_weights) == MAX_EVENTS
        assert ask("encode", history).arrays["state"].nbytes > 60_000_000
        replies["encode"]["state"] = np.ones(MAX_REPLY_BYTES // 4, np.float32)
        with pytest.raises(RankingError, match="larger than max"):
            ask("encode", history)
        client.close()


def _asking(client):
    return lambda name, *args: getattr(client, name)(*args)


def _asking_asyncio(client):
    return lambda name, *args: asyncio.run(getattr(client, name)(*args))
