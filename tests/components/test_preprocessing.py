"""Ids by vocabulary and by hashing: equal in training and serving, and what they should be."""

import collections

import farmhash
import pytest
import tensorflow as tf

from benchmarks.transform_graph import example, write_transform_graph
from components.servable import Servable, _parse
from components.vocabularies import table_sizes
from model import inputs as contract
from model.config import ModelConfig
from model.lcr_ser import LcrSer

VOCABULARY = {"items": "vocabulary", "users": "vocabulary", "words": "vocabulary",
              "max_items": 3, "max_users": None, "max_words": 10}
HASH = {"items": "hash", "users": "hash", "words": "hash", "max_items": 1000, "max_users": 7, "max_words": 20}

TRAIN = [
    example(user=["u1"], rec_items=["a", "b", "a"], rec_searches_before=[0, 1, 1], rec_is_target=[0, 1, 1],
            search_words=["red", "shoe"], search_word_counts=[2], search_items=["a"], search_item_counts=[1]),
    example(user=["u2"], rec_items=["b", "c", "d"], rec_searches_before=[0, 0, 0], rec_is_target=[1, 1, 1],
            search_words=["red"], search_word_counts=[1], search_items=["c", "a"], search_item_counts=[2]),
]
REQUEST = {"user": ["u2"], "rec_items": ["b", "never seen"], "search_words": ["red", "new word"],
           "search_word_counts": [1, 1], "search_items": ["c"], "search_item_counts": [0, 1],
           "candidates": ["a", "b", "d", "another"]}


@pytest.fixture(scope="module", params=[VOCABULARY, HASH], ids=["vocabulary", "hash"])
def transformed(request, tmp_path_factory):
    """Settings and the Transform graph that was made with them."""
    directory = str(tmp_path_factory.mktemp("transform") / "graph")
    return request.param, write_transform_graph(directory, request.param, TRAIN)


def bucket(string, buckets):
    """farmhash's own fingerprint, modulo: what tf.strings.to_hash_bucket_fast is documented to be."""
    return farmhash.fingerprint64(string) % buckets + contract.FIRST_KNOWN_ID


def expected_ids(settings, name, strings):
    if settings[name] == "hash":
        return [bucket(string, settings[f"max_{name}"]) for string in strings]
    # By hand: a occurs 4 times, b and c twice each (ties: the larger string first), d once and beyond max_items.
    known = {"items": {"a": 2, "c": 3, "b": 4}, "users": {"u2": 2, "u1": 3}, "words": {"red": 2, "shoe": 3}}[name]
    return [known.get(string, contract.UNKNOWN_ID) for string in strings]


@pytest.fixture(scope="module")
def servable(transformed):
    settings, graph = transformed
    sizes = table_sizes(graph, settings)
    return Servable(LcrSer(ModelConfig(**sizes, dim=4, rec_length=3, search_length=2, mlp_units=(4,))), graph)


def test_ids_of_training_and_of_serving_are_those_computed_apart(transformed, servable):
    settings, graph = transformed
    raw = _parse(tf.constant([example(**REQUEST)]), contract.REQUEST_FEATURES)[0]
    of_training = graph.transform_raw_features(raw, drop_unused_features=True)
    of_serving = servable._ids(raw)
    for feature, name in ((contract.USER, "users"), (contract.REC_ITEMS, "items"), (contract.SEARCH_ITEMS, "items"),
                          (contract.CANDIDATES, "items"), (contract.SEARCH_WORDS, "words")):
        ids = expected_ids(settings, name, REQUEST[feature])
        assert of_training[feature].values.numpy().tolist() == ids, feature
        assert of_serving[feature].flat_values.numpy().tolist() == ids, feature


def test_items_beyond_those_that_the_model_looks_at_are_not_counted(tmp_path):
    """They stand in timelines, so that training leaves them out of its negatives."""
    train = [example(user=["u"], rec_items=["a", "b"], search_words=["red"], search_word_counts=[1, 0, 0],
                     search_items=["c", "d", "e", "f", "b"], search_item_counts=[3, 0, 2])]
    settings = {**VOCABULARY, "max_items": None}
    graph = write_transform_graph(str(tmp_path / "graph"), {**settings, "items_per_search": 2}, train)
    assert {item.decode() for item in graph.vocabulary_by_name("items")} == {"a", "b", "c", "d", "f"}  # not e


def test_tables_hold_every_entry_or_bucket_padding_and_the_unknown_id(transformed):
    settings, graph = transformed
    counted = {"items": 3, "users": 2, "words": 2}
    assert table_sizes(graph, settings) == {
        f"num_{name}": 2 + (settings[f"max_{name}"] if settings[name] == "hash" else counted[name])
        for name in counted}


def test_a_saved_graph_gives_the_same_ids(transformed, servable, tmp_path):
    # The whole servable takes half a minute to save; tests/e2e do that. What could be lost is the tables, or the hash.
    module = tf.Module()
    module.resources = servable.transform_resources
    module.ids = tf.function(
        lambda examples: servable._transform.apply_transform_model(_parse(examples, contract.REQUEST_FEATURES)[0]),
        input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    tf.saved_model.save(module, str(tmp_path))
    ids = tf.saved_model.load(str(tmp_path)).ids(tf.constant([example(**REQUEST)]))
    for feature, name in ((contract.USER, "users"), (contract.CANDIDATES, "items"), (contract.SEARCH_WORDS, "words")):
        assert ids[feature].values.numpy().tolist() == expected_ids(transformed[0], name, REQUEST[feature]), feature


@pytest.mark.parametrize("buckets", [1, 10, 1000])
def test_strings_collide_as_often_as_their_fingerprints_do(buckets):
    from components.preprocessing import _id_maker

    strings = [f"item {number}" for number in range(500)] + ["早茶", ""]
    ids = _id_maker("items", None, {"items": "hash", "max_items": buckets})(tf.constant(strings)).numpy()
    alone = collections.Counter(bucket(string, buckets) for string in strings)
    assert collections.Counter(ids.tolist()) == alone
    assert ids.min() >= contract.FIRST_KNOWN_ID
    assert ids.max() < buckets + contract.FIRST_KNOWN_ID
    # Of n strings in m buckets, m (1 - (1 - 1/m)^n) buckets are used on average.
    used = buckets * (1 - (1 - 1 / buckets) ** len(strings))
    assert len(alone) == pytest.approx(used, rel=0.1)
