"""The notebook walks from a log to a ranked list: here over the log and the run of the other tests, from the cache."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.support.workspace import COMPONENTS, ROOT, lines_by_component

CELLS = json.loads((ROOT / "examples" / "walk.ipynb").read_text())["cells"]


def _rank_signature(version, content):
    """Items best first, by the SavedModel alone."""
    words, items = ([search[kind] for search in content["searches"]] for kind in ("words", "items"))

    def padded(lists):
        width = max(map(len, lists))
        return tf.constant([[values + [""] * (width - len(values)) for values in lists]])

    ranks = tf.saved_model.load(str(version)).signatures["rank"](
        user=tf.constant([content["user"]]),
        rec_items=tf.constant([content["rec_items"]]),
        search_words=padded(words),
        search_items=padded([[*values, ""] for values in items]),
        candidates=tf.constant([content["candidates"]]),
    )["ranks"][0]
    return [content["candidates"][place] for place in tf.argsort(ranks, stable=True).numpy()]


def test_it_is_kept_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)


@pytest.mark.long
def test_it_ends_with_the_ranking_of_the_pushed_model(first_run, workspace, tmp_path):
    script = tmp_path / "walk.py"
    script.write_text("\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT / "examples",
        check=False,
        capture_output=True,
        text=True,
        # Where the notebook sets what the tests do not, it is the default, so that nothing is trained again.
        env=workspace.environment(LCR_SER_SUPERVISED__LEARNING_RATE="0.003"),
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_by_component(done.stdout) == dict.fromkeys(COMPONENTS, "cached")
    content = json.loads((workspace.run_dir / "request.json").read_text())
    newest = workspace.versions[-1]  # another test may have pushed one since
    best_first = _rank_signature(newest, content)
    lines = done.stdout.splitlines()
    [headline] = [line for line in lines if line.startswith(f"version {newest.name} ranks ")]
    assert headline.endswith(f", {best_first.index(content['clicked']) + 1} of {len(best_first)}")
    listed = [line.split() for line in lines[lines.index(headline) + 1 :]]
    assert [(row[0], row[1]) for row in listed] == [(f"{n}.", item) for n, item in enumerate(best_first[:10], 1)]
