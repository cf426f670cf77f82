"""T9: memory stays where it is over swaps and calls, and a leak is seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]
SWAPS, CALLS = 12, 100
TABLE_MB, BOUND_MB = 20, 50


class Heavy(tf.Module):
    """A table of some megabytes, whose rows are looked up."""

    def __init__(self):
        super().__init__()
        self.table = tf.Variable(tf.ones([TABLE_MB * 1000, 250]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "ids")])
    def rows(self, ids):
        return {"rows": tf.gather(self.table, ids)}


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    heavy = Heavy()
    path = tmp_path_factory.mktemp("heavy") / "1"
    tf.saved_model.save(heavy, str(path), signatures={"rows": heavy.rows})
    return path


@pytest.mark.long
def test_ten_swaps_give_their_memory_back_and_a_planted_leak_is_seen(version):
    command = [sys.executable, "-m", "tests.support.swaps", str(version.parent), str(SWAPS), str(CALLS)]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300).stdout
    # The first two swaps fill what is kept for good.
    growth = {name: memory[-1] - memory[1] for name, memory in json.loads(said.splitlines()[-1]).items()}
    assert growth["sound"] < BOUND_MB
    assert growth["leaking"] > BOUND_MB + 100
