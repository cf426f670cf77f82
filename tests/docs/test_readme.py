"""README's program is the one that docs/client.md shows, which is run by tests/serving/test_client_docs.py; its
commands are there."""

import re

from tests.support.workspace import ROOT
from tfx_pipeline import cli

README = (ROOT / "README.md").read_text()


def test_the_ten_lines_are_those_of_the_client_page():
    ten_lines = r"```python\n(from serving\.client import .*?)```"
    [program] = re.findall(ten_lines, README, re.DOTALL)
    assert program == re.findall(ten_lines, (ROOT / "docs" / "client.md").read_text(), re.DOTALL)[0]


def test_commands_are_there():
    named = set(re.findall(r"lcr-ser ([a-z][a-z-]*)", README))
    assert {"serve", "loadtest", "push"} <= named <= cli._OURS.keys()
