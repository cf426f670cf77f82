import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.client.request import RankRequest
from serving.dev_server.score import ScoreError, score_once

ROOT = Path(__file__).parents[2]
REQUEST = RankRequest("u", ["a", "b"])


def test_one_request_is_answered_by_the_newest_version(push, model_dir):
    push(1)
    push(2)
    answer = score_once(model_dir, REQUEST)
    assert answer.version == 2
    assert {row.item for row in answer.candidates} == {"a", "b"}


def test_without_a_pushed_model_it_says_what_to_do(tmp_path):
    with pytest.raises(ScoreError, match="holds no pushed model. Run `make run` first"):
        score_once(tmp_path / "nowhere", REQUEST)


def test_model_that_cannot_be_loaded_is_named_with_the_reason(push, model_dir):
    push(1, signatures=("lookup",))
    with pytest.raises(ScoreError, match=r"1 cannot be loaded: .*lacks the signatures \{rank\}"):
        score_once(model_dir, REQUEST)


def test_older_version_answers_when_the_newest_is_broken(push, model_dir):
    push(1)
    push(2, signatures=("lookup",))
    assert score_once(model_dir, REQUEST).version == 1


@pytest.mark.slow
def test_server_command_says_when_it_is_ready_and_ends_on_sigterm(push, model_dir):
    push(1)
    command = [sys.executable, "-m", "serving.dev_server.server", "--model_dir", str(model_dir), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = next(line for line in process.stdout if line.startswith("ready"))
            assert ready.startswith("ready: lcr_ser version 1 on 127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()
