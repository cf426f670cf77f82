"""The contract is for everybody: whoever imports it gets names, and nothing else happens."""

import json
import subprocess
import sys

LOOK = """
import json, os, sys
before = dict(os.environ)
import model.contract
print(json.dumps([os.environ == before, sorted({"numpy", "tensorflow", "keras"} & sys.modules.keys())]))
"""


def test_importing_the_contract_sets_nothing_and_loads_nothing():
    found = subprocess.run([sys.executable, "-c", LOOK], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert json.loads(found) == [True, []]
