"""What docs/client.md and the example say works."""

import json
import re
from pathlib import Path

import pytest

from serving.client.request import request_inputs
from tests.support.toy_servable import expected_score

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()


@pytest.fixture
def ten_lines():
    return re.search(r"## Ten lines\n\n```python\n(.*?)```", PAGE, re.DOTALL)[1]


def test_ten_lines_rank_candidates(ten_lines, still_server, capsys):
    assert len([line for line in ten_lines.splitlines() if line.strip()]) <= 10
    program = ten_lines.replace("localhost:8500", still_server.address).replace("lcr_ser_demo", "lcr_ser")
    names = {}
    exec(program, names)
    request = names["request"]
    best_first = sorted(request.candidates, key=lambda item: -expected_score(1, request, item))
    assert re.findall(r"item='(\w+)', rank=(\d)", capsys.readouterr().out) == [
        (item, str(rank)) for rank, item in enumerate(best_first, 1)
    ]


def test_the_line_of_curl_sends_what_the_client_sends(ten_lines):
    names = {}
    exec(ten_lines.partition("\nwith ")[0], names)
    sent = json.loads(re.search(r"^curl localhost:8501/v1/models/\w+:predict -d '(.*)'$", PAGE, re.MULTILINE)[1])
    expected = {
        name: array.tolist()
        for name, array in request_inputs([names["request"]]).items()
        if not name.endswith("_times")
    }
    assert sent["signature_name"] == "rank"
    assert {name: _encoded(value) for name, value in sent["inputs"].items()} == expected


def _encoded(value):
    return value.encode() if isinstance(value, str) else [_encoded(one) for one in value]
