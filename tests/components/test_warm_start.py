"""Warm start: every row goes with its string, and what is new is fresh."""

import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.servable.saving import describe, save_weights
from components.trainer.warm_start import earlier_rows, start_from
from components.transform.vocabularies import NAMES
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from model.registry import make_config
from model.training.carry_over import FRESH


def strings(*values):
    return pa.array([value.encode() for value in values], pa.binary())


def test_rows_follow_their_strings():
    # Ids before: a 2, b 3, c 4. Now: c 2, new 3, a 4; b is gone.
    rows = earlier_rows(strings("a", "b", "c"), strings("c", "new", "a"), 5, 5)
    assert rows.tolist() == [0, 1, 4, FRESH, 2]


def test_hashed_rows_stay_where_they_are():
    assert earlier_rows(None, None, 5, 5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("earlier", "now", "sizes"),
    [(None, None, (5, 6)), (strings("a", "b"), None, (4, 4)), (None, strings("a", "b"), (4, 4))],
)
def test_rows_of_another_kind_are_fresh(earlier, now, sizes):
    rows = earlier_rows(earlier, now, *sizes)
    assert rows.tolist() == [0, 1] + [FRESH] * (sizes[1] - 2)


@given(st.lists(st.text(max_size=3), unique=True), st.lists(st.text(max_size=3), unique=True))
def test_rows_are_those_of_a_dictionary(earlier, now):
    rows = earlier_rows(strings(*earlier), strings(*now), len(earlier) + 2, len(now) + 2)
    ids = {string: number + 2 for number, string in enumerate(earlier)}
    assert rows.tolist() == [0, 1, *(ids.get(string, FRESH) for string in now)]


VOCABULARIES = {
    "users": (["u1", "u2"], ["u2", "u3", "u1"]),
    "items": (["早茶", "b c", "d"], ["d", "x", "早茶"]),
    "words": (["red"], ["blue", "red"]),
}


def config(which, **changes):
    sizes = {f"num_{name}": len(VOCABULARIES[name][which]) + 2 for name in NAMES}
    return LcrSerConfig(**{**sizes, "dim": 4, "mlp_units": (3,), "reasoning_steps": 1, **changes})


@pytest.fixture
def pushed(tmp_path):
    """A pushed model of the earlier vocabularies, and where it is."""
    model = LcrSer(config(0))
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    save_weights(model, str(tmp_path / "pushed"))
    describe(str(tmp_path / "pushed"), model.config, {}, "code")
    write(tmp_path / "pushed" / "assets", 0)
    return model, str(tmp_path / "pushed")


def write(folder, which):
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).write_text("".join(f"{string}\n" for string in VOCABULARIES[name][which]))


@pytest.fixture
def transform(tmp_path):
    folder = tmp_path / "now"
    write(folder, 1)
    return types.SimpleNamespace(vocabulary_file_by_name=lambda name: str(folder / name))


def test_weights_of_a_pushed_model_are_carried_over(pushed, transform):
    earlier, directory = pushed
    model = start_from(directory, config(1), transform)
    for ours, theirs in zip(model.dense_variables, earlier.dense_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # (new row, earlier row), by hand from `VOCABULARIES`.
    carried = {
        "users": [(0, 0), (1, 1), (2, 3), (4, 2)],
        "items": [(0, 0), (1, 1), (2, 4), (4, 2)],
        "words": [(0, 0), (1, 1), (3, 2)],
    }
    fresh = {"users": 3, "items": 3, "words": 2}
    for ours, theirs in zip(model.tables, earlier.tables, strict=True):
        for new, old in carried[ours.name]:
            np.testing.assert_array_equal(ours.table[new], theirs.table[old])
        new_row = ours.table[fresh[ours.name]]
        assert np.isfinite(new_row).all()
        assert not any(np.array_equal(new_row, row) for row in theirs.table.numpy())


def test_a_model_of_the_same_strings_scores_as_the_pushed_one(pushed, transform):
    earlier, directory = pushed
    model = start_from(directory, config(1), transform)
    before = {
        "user": [3],
        "rec_items": [[4, 2]],
        "search_words": [[[2]]],
        "search_items": [[[4]]],
        "candidates": [[2, 4]],
    }
    now = {"user": [2], "rec_items": [[2, 4]], "search_words": [[[3]]], "search_items": [[[2]]], "candidates": [[4, 2]]}
    scores = [
        one({name: tf.constant(value) for name, value in batch.items()})
        for one, batch in ((earlier, before), (model, now))
    ]
    np.testing.assert_allclose(*scores, atol=1e-6)


@pytest.mark.parametrize("changes", [{"dim": 8}, {"mlp_units": (5,)}, {"reasoning_steps": 2}], ids=str)
def test_a_model_of_another_shape_is_refused(pushed, transform, changes):
    with pytest.raises(ValueError, match="`warm_start` should find a pushed model with the settings of `model`"):
        start_from(pushed[1], config(1, **changes), transform)


def test_a_pushed_model_that_does_not_say_what_it_is_is_refused(pushed, transform):
    (Path(pushed[1]) / "assets.extra" / "ranker.json").unlink()
    with pytest.raises(ValueError, match="`saved_model_dir` should hold assets.extra/ranker.json"):
        start_from(pushed[1], config(1), transform)


def test_a_model_of_another_kind_is_refused(pushed, transform):
    other = make_config({**{f"num_{name}": 4 for name in NAMES}, "kind": "sasrec", "dim": 4})
    with pytest.raises(ValueError, match="`warm_start` should find a pushed model with the settings of `model`"):
        start_from(pushed[1], other, transform)
