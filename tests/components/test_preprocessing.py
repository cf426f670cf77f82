"""Ids by vocabulary and by hashing: equal in training and serving, and what they should be."""

import collections
import json

import farmhash
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.servable.examples import parse
from components.servable.servable import Servable
from components.transform.vocabularies import table_sizes
from model import contract
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from tests.support.transform_graph import example, write_transform_graph

pytestmark = pytest.mark.slow

VOCABULARY = {
    "items": "vocabulary",
    "users": "vocabulary",
    "words": "vocabulary",
    "max_items": 3,
    "max_users": None,
    "max_words": 10,
}
HASH = {"items": "hash", "users": "hash", "words": "hash", "max_items": 1000, "max_users": 7, "max_words": 20}

ODD_IDS = [
    "a\nb",
    "a\rb",
    "a\r\nb",
    "a\\nb",
    "a\\\nb",
    "a\\",
    "\\",
    "a",
    "a\vb",
    "a\x85b",
    "a\u2028b",
    "a\0b",
    "\u3000",
    "\x1f",
    "a b",
    "a  b",
    "a,b",
    'a"b',
    "\\N",
    "nan",
    "None",
    "007",
    "7",
    "7.0",
    "é",
    "e\u0301",
    "עברית",
    "😀",
    "\u200b",
    "x" * 5000,
    "-1",
    "__pad__",
    "[UNK]",
    "A",
    "[a]",
    "a|b",
    "\ufeffa",
    "'",
    "0",
]

TRAIN = [
    example(
        user=["u1"],
        rec_items=["a", "b", "a"],
        rec_searches_before=[0, 1, 1],
        rec_is_target=[0, 1, 1],
        search_words=["red", "shoe"],
        search_word_counts=[2],
        search_items=["a"],
        search_item_counts=[1],
    ),
    example(
        user=["u2"],
        rec_items=["b", "c", "d"],
        rec_searches_before=[0, 0, 0],
        rec_is_target=[1, 1, 1],
        search_words=["red"],
        search_word_counts=[1],
        search_items=["c", "a"],
        search_item_counts=[2],
    ),
]
REQUEST = {
    "user": ["u2"],
    "rec_items": ["b", "never seen"],
    "search_words": ["red", "new word"],
    "search_word_counts": [1, 1],
    "search_items": ["c"],
    "search_item_counts": [0, 1],
    "candidates": ["a", "b", "d", "another"],
}


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
    config = LcrSerConfig(**sizes, dim=4, rec_length=3, search_length=2, mlp_units=(4,), retrieval=True)
    return Servable(LcrSer(config), graph)


def test_items_are_recommended_where_their_ids_lead_back_to_strings(transformed, servable):
    assert servable.retrieves == (transformed[0]["items"] == "vocabulary")


def served_ids(servable, raw):
    """The ids that the servable's graph makes of a request's strings."""
    return servable._look_up({name: raw[name].values for name in raw if raw[name].dtype == tf.string}, padded=False)


def test_ids_of_training_and_of_serving_are_those_computed_apart(transformed, servable):
    settings, graph = transformed
    raw = parse(tf.constant([example(**REQUEST)]), contract.REQUEST_FEATURES)[0]
    of_training = graph.transform_raw_features(raw, drop_unused_features=True)
    of_serving = served_ids(servable, raw)
    for feature, name in (
        (contract.USER, "users"),
        (contract.REC_ITEMS, "items"),
        (contract.SEARCH_ITEMS, "items"),
        (contract.CANDIDATES, "items"),
        (contract.SEARCH_WORDS, "words"),
    ):
        ids = expected_ids(settings, name, REQUEST[feature])
        assert of_training[feature].values.numpy().tolist() == ids, feature
        assert of_serving[feature].numpy().tolist() == ids, feature


def test_integers_are_passed_on_as_they_are(transformed):
    """Times a millisecond apart stay apart, and what is missing does not disturb the rest."""
    _, graph = transformed
    integers = {
        "rec_times": [1_714_543_200_001, 1_714_543_200_002],
        "search_times": [1_714_543_200_003, 0],
        "search_clicks_before": [1, 2],
        "search_searches_before": [0, 1],
        "search_is_target": [0, 1],
    }
    spec = {name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in integers}
    raw = parse(tf.constant([example(**REQUEST)]), contract.REQUEST_FEATURES)[0]
    raw |= tf.io.parse_example(tf.constant([example(**integers)]), spec)
    ids = graph.transform_raw_features(raw, drop_unused_features=True)
    assert set(ids) == {*contract.REQUEST_FEATURES, *integers}
    for name, values in integers.items():
        assert ids[name].dtype == tf.int64
        assert ids[name].values.numpy().tolist() == values, name


@pytest.mark.long
def test_items_beyond_those_that_the_model_looks_at_are_not_counted(tmp_path):
    """They stand in timelines, so that training leaves them out of its negatives."""
    train = [
        example(
            user=["u"],
            rec_items=["a", "b"],
            search_words=["red"],
            search_word_counts=[1, 0, 0],
            search_items=["c", "d", "e", "f", "b"],
            search_item_counts=[3, 0, 2],
        )
    ]
    settings = {**VOCABULARY, "max_items": None}
    graph = write_transform_graph(str(tmp_path / "graph"), {**settings, "items_per_search": 2}, train)
    assert {item.decode() for item in graph.vocabulary_by_name("items")} == {"a", "b", "c", "d", "f"}  # not e


def test_tables_hold_every_entry_or_bucket_padding_and_the_unknown_id(transformed):
    settings, graph = transformed
    counted = {"items": 3, "users": 2, "words": 2}
    assert table_sizes(graph, settings) == {
        f"num_{name}": 2 + (settings[f"max_{name}"] if settings[name] == "hash" else counted[name]) for name in counted
    }


def test_a_saved_graph_gives_the_same_ids(transformed, servable, tmp_path):
    # The whole servable takes half a minute to save; tests/e2e do that. What could be lost is the tables, or the hash.
    module = tf.Module()
    module.resources = servable.transform_resources
    module.ids = tf.function(
        lambda examples: servable._transform.apply_transform_model(parse(examples, contract.REQUEST_FEATURES)[0]),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path))
    ids = tf.saved_model.load(str(tmp_path)).ids(tf.constant([example(**REQUEST)]))
    for feature, name in ((contract.USER, "users"), (contract.CANDIDATES, "items"), (contract.SEARCH_WORDS, "words")):
        assert ids[feature].values.numpy().tolist() == expected_ids(transformed[0], name, REQUEST[feature]), feature


def test_blanks_around_ids_and_words_do_not_count(transformed, servable):
    settings, _ = transformed
    blanks = contract.BLANKS
    padded = {
        name: [f"{blanks}{value}{blanks}" if isinstance(value, str) else value for value in values]
        for name, values in REQUEST.items()
    }
    plain, other = (
        served_ids(servable, parse(tf.constant([example(**request)]), contract.REQUEST_FEATURES)[0])
        for request in (REQUEST, padded)
    )
    for feature, ids in plain.items():
        assert ids.numpy().tolist() == other[feature].numpy().tolist(), feature
    history = {
        "user": tf.constant(["u2"]),
        "rec_items": tf.constant([["b"]]),
        "search_words": tf.constant([[["red"]]]),
        "search_items": tf.constant([[["c"]]]),
        "candidates": tf.constant([["a", "b", ""]]),
    }
    with_blanks = {name: tf.where(value == "", value, " \t" + value + "\n") for name, value in history.items()}
    scores = [servable._rank(**tensors)["scores"].numpy().tolist() for tensors in (history, with_blanks)]
    assert scores[0] == scores[1]
    # Nothing but blanks is no padding: an unknown id, or the bucket of what is left.
    blank = {**history, "candidates": tf.constant([["a", blanks, "never seen"]])}
    [[_, of_blanks, unknown]] = servable._rank(**blank)["scores"].numpy().tolist()
    assert of_blanks > tf.float32.min
    assert (of_blanks == unknown) == (settings["items"] == "vocabulary")


def test_blanks_are_those_that_tensorflow_takes_away():
    import string

    characters = [chr(code) for code in range(256)]
    stripped = tf.strings.strip(characters).numpy().tolist()
    assert {character for character, left in zip(characters, stripped, strict=True) if not left} == set(contract.BLANKS)
    assert set(contract.BLANKS) == set(string.whitespace)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text("\\nr\n\ra", max_size=5), min_size=2, max_size=20))
def test_lines_of_a_vocabulary_are_as_many_as_its_strings(strings):
    from components.transform.preprocessing import _as_line

    lines = [line.decode() for line in _as_line(tf.constant(strings)).numpy()]
    assert not any(set(line) & set("\n\r") for line in lines)
    assert len(set(lines)) == len(set(strings))


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.one_of(
            st.text("\\nr\n\r01a\uffff", max_size=8).map(str.encode), st.text(max_size=8).map(str.encode), st.binary()
        ),
        min_size=1,
        max_size=20,
    )
)
def test_strings_come_back_from_their_lines(strings):
    from components.transform.preprocessing import _as_line, from_line

    assert from_line(_as_line(tf.constant(strings))).numpy().tolist() == strings


def _known_ids(graph, examples, feature):
    """Strings of a feature in Examples to the ids that Transform's graph gives them."""
    spec = {
        name: tf.io.RaggedFeature(tf.int64 if name.endswith("_counts") else tf.string, row_splits_dtype=tf.int64)
        for name in contract.HISTORY_FEATURES
    }
    raw = tf.io.parse_example(tf.constant(examples), spec)
    raw |= {contract.CANDIDATES: tf.RaggedTensor.from_row_lengths(tf.constant([], tf.string), [0] * len(examples))}
    ids = graph.transform_raw_features(raw, drop_unused_features=True)
    return dict(zip(raw[feature].flat_values.numpy().tolist(), ids[feature].values.numpy().tolist(), strict=True))


def _check_every_string_is_known(graph, examples):
    from components.trainer.warm_start import _read

    for feature, name in ((contract.USER, "users"), (contract.REC_ITEMS, "items"), (contract.SEARCH_WORDS, "words")):
        ids = _known_ids(graph, examples, feature)
        assert len(set(ids.values())) == len(ids) > 1, feature
        assert min(ids.values()) >= contract.FIRST_KNOWN_ID, feature
        # One line an entry, for all that reads the file.
        entries = graph.vocabulary_size_by_name(name)
        assert entries >= len(ids)
        assert len(_read(graph.vocabulary_file_by_name(name))) == entries
        assert max(ids.values()) < entries + contract.FIRST_KNOWN_ID


ALL = {
    "items": "vocabulary",
    "users": "vocabulary",
    "words": "vocabulary",
    "max_items": None,
    "max_users": None,
    "max_words": None,
}


def test_every_string_is_known_to_the_graph_and_to_the_session_that_serves_it(tmp_path):
    examples = [
        example(
            user=[odd],
            rec_items=ODD_IDS,
            rec_searches_before=[0] * len(ODD_IDS),
            rec_is_target=[1] * len(ODD_IDS),
            search_words=ODD_IDS,
            search_word_counts=[len(ODD_IDS)],
            search_items=[odd],
            search_item_counts=[1],
        )
        for odd in ODD_IDS
    ]
    graph = write_transform_graph(str(tmp_path / "graph"), ALL, examples)
    _check_every_string_is_known(graph, examples)
    expected = _known_ids(graph, examples, contract.USER)

    # As TF Serving loads it: by the session loader of C++, whose initialisation fills the tables.
    module = tf.Module()
    loaded = Servable(LcrSer(LcrSerConfig(**table_sizes(graph, ALL), dim=4, mlp_units=(4,))), graph)
    module.resources = loaded.transform_resources
    module.ids = tf.function(
        lambda user: {
            "ids": loaded._transform.apply_transform_model(
                {
                    **{
                        name: tf.RaggedTensor.from_row_lengths(
                            tf.constant([], tf.int64 if "counts" in name else tf.string), [0]
                        )
                        for name in contract.REQUEST_FEATURES
                    },
                    contract.USER: tf.RaggedTensor.from_row_lengths(user, [tf.size(user)]),
                }
            )[contract.USER].values
        },
        input_signature=[tf.TensorSpec([None], tf.string, name="user")],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"ids": module.ids})
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        graph_def = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(tmp_path / "saved"))
        signature = graph_def.signature_def["ids"]
        ids = session.run(signature.outputs["ids"].name, {signature.inputs["user"].name: list(expected)})
    assert ids.tolist() == list(expected.values())


def test_every_id_that_is_kept_of_a_log_is_known(run_log, tmp_path):
    kept = [odd.strip(contract.BLANKS) for odd in ODD_IDS]
    for name, header, rows in (
        (
            "recommendations",
            ["user_id", "item_id", "timestamp_ms", "clicked"],
            [
                (user, kept[(number + turn) % len(kept)], 1_714_543_200_000 + turn, 1)
                for number, user in enumerate(kept)
                for turn in range(6)
            ],
        ),
        (
            "searches",
            ["user_id", "timestamp_ms", "query_words", "item_id", "clicked"],
            [(user, 1_714_543_200_003, "red shoe", item, 1) for user, item in zip(kept, reversed(kept), strict=True)],
        ),
    ):
        with (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)
    run = run_log(tmp_path, source="events", num_negatives=5)
    examples = run.records["train"]
    graph = write_transform_graph(str(tmp_path / "graph"), ALL, examples)
    _check_every_string_is_known(graph, examples)
    users = _known_ids(graph, examples, contract.USER)
    assert set(users) == {user.encode() for user in kept}
    assert run.report["log"]["users"] == len(users) == graph.vocabulary_size_by_name("users")


@pytest.mark.parametrize("buckets", [1, 10, 1000])
def test_strings_collide_as_often_as_their_fingerprints_do(buckets):
    from components.transform.preprocessing import _id_maker

    strings = [f"item {number}" for number in range(500)] + ["早茶", ""]
    ids = _id_maker("items", None, {"items": "hash", "max_items": buckets})(tf.constant(strings)).numpy()
    alone = collections.Counter(bucket(string, buckets) for string in strings)
    assert collections.Counter(ids.tolist()) == alone
    assert ids.min() >= contract.FIRST_KNOWN_ID
    assert ids.max() < buckets + contract.FIRST_KNOWN_ID
    # Of n strings in m buckets, m (1 - (1 - 1/m)^n) buckets are used on average.
    used = buckets * (1 - (1 - 1 / buckets) ** len(strings))
    assert len(alone) == pytest.approx(used, rel=0.1)
