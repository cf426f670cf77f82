"""The searches shown, their weights and the ranks against the equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from components.report.gather import used_searches as module
from components.report.gather.used_searches import used_searches
from components.transform.vocabularies import table_sizes
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from tests.support.checkable_servable import example
from tests.support.random_logs import randomise
from tests.support.reference import scoring
from tests.support.reference.encoding import softmax
from tests.support.reference_weights import settings_of, weights_of
from tests.support.transform_graph import example as timeline
from tests.support.transform_graph import write_transform_graph

pytestmark = pytest.mark.slow

VOCABULARY = {
    "items": "vocabulary",
    "users": "vocabulary",
    "words": "vocabulary",
    "max_items": None,
    "max_users": None,
    "max_words": None,
}
TRAIN = [
    timeline(
        user=[user],
        rec_items=["a", "b", "c", "d"],
        rec_searches_before=[0, 1, 1, 1],
        rec_is_target=[0, 1, 1, 1],
        search_words=["red", "blue", "shoe", "鞋"],
        search_word_counts=[4],
        search_items=["e"],
        search_item_counts=[1],
    )
    for user in ("u1", "u2")
]
SHAPE = {
    "dim": 4,
    "rec_length": 3,
    "search_length": 3,
    "words_per_search": 2,
    "items_per_search": 1,
    "mlp_units": [4],
    "dropout": 0.0,
}
LONG = [(["red"], []), (["shoe"], ["a"]), (["blue", "鞋", "red"], ["a", "b"]), ([], ["e"]), (["never", "red"], ["c"])]
REQUESTS = [
    ("u1", ["a", "b"], LONG[:2], ["a", "c", "b", "d"], 1),  # shorter than the other one of u1
    ("u2", ["a", "b", "c"], LONG[3:], ["d", "a", "never seen", "b"], 2),  # nobody knows the target
    ("u2", ["a"], LONG[1:4], ["a", "c", "d", "e"], 0),
    ("u3", ["a", "b", "c", "d"], [], ["a", "c", "d", "b"], 0),  # no search
    # More clicks, searches, words and items than the model looks at.
    ("u1", ["a", "b", "c", "d", "e"], LONG, ["b", "never seen", "c", "d"], 2),
    ("new", ["d", "e"], LONG[3:], ["c", "b", "a", "d"], 0),
]


@pytest.fixture(scope="module")
def transform(tmp_path_factory):
    return write_transform_graph(str(tmp_path_factory.mktemp("used") / "graph"), VOCABULARY, TRAIN)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files, in the order of their names."""
    folder = tmp_path_factory.mktemp("requests")
    for name, part in (("0.gz", REQUESTS[:2]), ("1.gz", REQUESTS[2:])):
        with tf.io.TFRecordWriter(str(folder / name), "GZIP") as writer:
            for request in part:
                writer.write(example(*request, stored=True))
    return [str(folder / "1.gz"), str(folder / "0.gz")]


def _model(transform, **changes):
    return randomise(LcrSer(LcrSerConfig(**{**SHAPE, **changes}, **table_sizes(transform, VOCABULARY))))


def _ids(transform, name):
    entries = [entry.decode() for entry in transform.vocabulary_by_name(name)]
    return lambda value: entries.index(value) + 2 if value in entries else 1


def _expected(model, transform, request):
    """Weights of the searches and of the steps, in order of time, and the rank."""
    user, clicks, searches, candidates, label = request
    of_item, of_user, of_word = (_ids(transform, name) for name in ("items", "users", "words"))
    config = model.config
    plain = {
        "user": of_user(user),
        "clicks": [of_item(item) for item in clicks][-config.rec_length :],
        "searches": [
            (
                [of_word(word) for word in words[: config.words_per_search]],
                [of_item(item) for item in items[: config.items_per_search]],
            )
            for words, items in searches
        ][-config.search_length :],
        "candidates": [of_item(item) for item in candidates],
    }
    weights, settings = weights_of(model), settings_of(config)
    states = scoring.reasoned(weights, plain, **settings)
    target = weights["items"][plain["candidates"][label]]
    rows = [*states[0], *states[2]]
    if config.aggregation == "target":
        shares = softmax([row @ weights["search/att"] @ target / np.sqrt(config.dim) for row in rows])
    else:
        shares = [1 / len(rows)] * len(rows)
    logits = scoring.rank(weights, plain, states, **settings)
    rank = 1 + sum(logit >= logits[label] for at, logit in enumerate(logits) if at != label)
    return shares[: len(states[0])], shares[len(states[0]) :], rank


@pytest.mark.parametrize(
    "changes", [{"reasoning_steps": 2}, {"reasoning_steps": 0}, {"reasoning_steps": 1, "aggregation": "mean"}]
)
def test_they_are_those_of_the_equations(transform, files, changes):
    model = _model(transform, **changes)
    found = used_searches(model, transform._transform_output_dir, files)
    # The longest shorter history first: five searches and five clicks, two of each, three and one.
    assert [one["user"] for one in found] == ["u1", "new", "u2"]
    for one, row in zip(found, (4, 5, 2), strict=True):
        user, _, searches, candidates, label = REQUESTS[row]
        weights, of_steps, rank = _expected(model, transform, REQUESTS[row])
        assert (one["target"], one["rank"], one["candidates"]) == (candidates[label], rank, len(candidates))
        newest_first = [(words[:2], items[:1]) for words, items in searches[::-1][:3]]
        assert [(search["words"], search["items"]) for search in one["searches"]] == newest_first
        np.testing.assert_allclose([search["weight"] for search in one["searches"]], weights[::-1], atol=1e-4)
        assert sum(search["weight"] for search in one["searches"]) == pytest.approx(1 - sum(of_steps), abs=2e-4)
        assert len(of_steps) == changes["reasoning_steps"]


def test_as_many_are_shown_as_asked_for(transform, files):
    found = used_searches(_model(transform), transform._transform_output_dir, files, users=1)
    assert [one["user"] for one in found] == ["u1"]


def test_nothing_is_shown_where_nobody_searched(transform, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "0.gz"), "GZIP") as writer:
        writer.write(example(*REQUESTS[3], stored=True))
    assert used_searches(_model(transform), transform._transform_output_dir, [str(tmp_path / "0.gz")]) == []


def test_the_first_requests_by_the_names_of_the_files_are_looked_at(transform, files, monkeypatch):
    monkeypatch.setattr(module, "LOOK_AT", 2)
    found = used_searches(_model(transform), transform._transform_output_dir, files)
    assert [(one["user"], len(one["searches"])) for one in found] == [("u1", 2)]
