"""The exported model: every loader gives the same answers, and a row is nobody else's business."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts import GateVerdict
from components.common.verdict import read_verdict
from components.evaluation.ranks import rank_requests
from components.evaluator.rank_extractors import _RankBatch
from components.servable.saving import describe, load, save_weights
from components.servable_check import ask, child
from components.servable_check.check import check_servable
from components.servable_check.executor import Executor
from components.servable_check.golden import golden_scores
from components.servable_check.operations import read_saved_model
from components.servable_check.requests import rank_inputs
from components.servable_check.session import SessionModel
from components.servable_check.settings import ServableCheckSettings
from model import contract
from model.lcr_ser import LcrSer
from serving.warmup import write_warm_up
from tests.support.checkable_servable import example
from tests.support.products_of import unsafe
from tests.support.small_servable import RECORDS, VOCABULARY

pytestmark = pytest.mark.slow

NEWCOMER = example("u9", candidates=["a"])


@pytest.fixture(scope="module")
def small(exported_small):
    return exported_small[0]


@pytest.fixture(scope="module")
def directory(exported_small):
    return exported_small[1]


def test_the_servable_holds_no_unsafe_product(small):
    assert small.products
    assert unsafe(small.products) == []  # which oneDNN, on by default, would compute wrongly


@pytest.fixture(scope="module")
def signatures(directory):
    with SessionModel(directory) as model:
        yield model.signatures


def scores(signatures, records):
    return signatures["serving_default"](examples=np.array(records, object))["scores"]


def changed(record, **features):
    """A record with other values: lists of bytes or of integers."""
    made = tf.train.Example.FromString(record)
    for name, values in features.items():
        made.features.feature[name].Clear()
        if values and isinstance(values[0], bytes):
            made.features.feature[name].bytes_list.value.extend(values)
        else:
            made.features.feature[name].int64_list.value.extend(values)
    return made.SerializeToString()


@pytest.mark.long
def test_every_loader_gives_the_same_answers(small, directory, signatures, tmp_path):
    """TF Serving's way of loading, TensorFlow's own, the development server, the Evaluator and RankingCheck."""
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from serving.dev_server.server import RankingServer

    plain = rank_inputs(RECORDS)
    inputs = {
        "serving_default": {"examples": np.array(RECORDS, object)},
        "rank": plain,
        "rank_eval": {"examples": np.array(RECORDS, object)},
        "encode": {name: values for name, values in plain.items() if name != "candidates"},
    }
    inputs["score"] = {"candidates": plain["candidates"], **signatures["encode"](**inputs["encode"])}
    expected = {name: signatures[name](**values) for name, values in inputs.items()}
    assert np.ptp(expected["rank"]["scores"][0]) > 0.01

    loaded = tf.saved_model.load(directory)
    with RankingServer(Path(directory).parent, "small") as server, grpc.insecure_channel(server.address) as channel:
        server.manager.refresh()
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for name, values in inputs.items():
            call = predict_pb2.PredictRequest()
            call.model_spec.name, call.model_spec.signature_name = "small", name
            for key, value in values.items():
                call.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            served = {key: tf.make_ndarray(value) for key, value in stub.Predict(call, timeout=60).outputs.items()}
            by_tensorflow = loaded.signatures[name](**{key: tf.constant(value) for key, value in values.items()})
            for key, value in expected[name].items():
                np.testing.assert_allclose(served[key], value, rtol=1e-6, atol=1e-6)
                np.testing.assert_allclose(by_tensorflow[key], value, rtol=1e-6, atol=1e-6)

    ranks = expected["rank_eval"]["rank"][:, 0]
    same = [RECORDS[0], changed(RECORDS[3], candidates=[b"b", b"c", b"d"])]  # RankingCheck wants equally many
    times = ([*range(4)], [*range(3)]), ([5], [5])  # of clicks and searches: stored requests have them
    with tf.io.TFRecordWriter(str(tmp_path / "requests.gz"), "GZIP") as writer:
        for record, (of_clicks, of_searches) in zip(same, times, strict=True):
            writer.write(changed(record, rec_times=of_clicks, search_times=of_searches))
    found = rank_requests({"small": directory}, small.graph_dir, [str(tmp_path / "requests.gz")])
    np.testing.assert_array_equal(
        found.ranks["small"][:, None], signatures["rank_eval"](examples=np.array(same, object))["rank"]
    )
    by_evaluator = _RankBatch({})
    by_evaluator._loaded_models = {"": loaded}
    (extracts,) = by_evaluator.process(record_batch(RECORDS))
    np.testing.assert_array_equal(extracts["predictions"][:, 0], ranks)


def record_batch(records):
    import pyarrow as pa
    from tensorflow_model_analysis import constants

    column = pa.array([[record] for record in records], pa.large_list(pa.large_binary()))
    return {constants.ARROW_RECORD_BATCH_KEY: pa.RecordBatch.from_arrays([column], [constants.ARROW_INPUT_COLUMN])}


def test_reading_a_good_batch_runs_no_dataset_with_a_function_and_pads_nothing(directory):
    """TensorFlow prepares each such function anew in every call: 9 ms, where the model takes one.

    Dense features are as wide as the longest list of the batch: of one long list beside many rows, gigabytes.
    """
    library = read_saved_model(str(directory)).meta_graphs[0].graph_def.library.function
    entries = [one for one in library if any(node.op == "ParseExampleDatasetV2" for node in one.node_def)]
    assert entries
    for entry in entries:  # what looks at each row of a bad batch is in a branch, a function of its own
        assert not [node.op for node in entry.node_def if "Dataset" in node.op and "f" in node.attr]
        [parser] = [node for node in entry.node_def if node.op == "ParseExampleDatasetV2"]
        assert not parser.attr["Tdense"].list.type and parser.attr["sparse_types"].list.type


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"no Example", "cannot be parsed"),
        (RECORDS[0][:-3], "is cut off"),
        (b"", "has no feature at all"),
        (changed(RECORDS[0], user=[1]), "has a user of another type"),
        (changed(RECORDS[0], user=[b"u1", b"u2"]), "has two users"),
        (changed(RECORDS[0], search_word_counts=[1, 3, 0]), "has fewer words than its counts say"),
        (changed(RECORDS[0], search_word_counts=[1, 3, 2]), "has more"),
        (changed(RECORDS[0], search_word_counts=[1, 5, -1]), "has a negative count"),
        (
            changed(RECORDS[0], search_word_counts=[2**62, 2**62, 2**62, 2**62 + 5], search_item_counts=[0, 2, 1, 0]),
            "has counts whose sum wraps around to the right number",
        ),
        (changed(RECORDS[0], search_item_counts=[0, 2, 1, 0]), "has more counts of items than of words"),
        (changed(RECORDS[0], rec_items=[b"a"] * (contract.MAX_EVENTS + 1)), "has more clicks than the limit"),
        (changed(RECORDS[0], candidates=[b"a"] * (contract.MAX_CANDIDATES + 1)), "has more candidates than the limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_row_is_answered_alone(signatures, bad, why):
    alone = scores(signatures, RECORDS)
    for place in (0, 2, 4):
        mixed = scores(signatures, [*RECORDS[:place], bad, *RECORDS[place:]])
        assert np.isnan(mixed[place]).all(), why
        np.testing.assert_allclose(np.delete(mixed, place, 0), alone, rtol=1e-6, atol=1e-6)
    assert np.isnan(scores(signatures, [bad])).all()
    assert scores(signatures, [bad]).shape == (1, 1)
    examples = np.array([RECORDS[3], bad], object)
    ranks = signatures["rank_eval"](examples=examples)["rank"][:, 0]
    assert ranks[1] == 4  # behind all columns
    assert ranks[0] == signatures["rank_eval"](examples=examples[:1])["rank"]


@pytest.mark.parametrize("label", [[], [4], [-1], [0, 1], [b"0"]], ids=str)
def test_a_label_that_is_no_column_ranks_its_own_row_last(signatures, label):
    examples = np.array([RECORDS[0], changed(RECORDS[3], label=label), RECORDS[1]], object)
    ranks = signatures["rank_eval"](examples=examples)["rank"][:, 0]
    assert ranks[1] == 3
    good = signatures["rank_eval"](examples=examples[[0, 2]])["rank"][:, 0]
    np.testing.assert_array_equal(ranks[[0, 2]], good)


ids = st.sampled_from(["a", "b", "c", "d", "never seen", "é", " "])
searches = st.lists(st.tuples(st.lists(ids, max_size=4), st.lists(ids, max_size=3)), max_size=4)
good_rows = st.builds(example, ids, st.lists(ids, max_size=6), searches, st.lists(ids, min_size=1, max_size=5))


@st.composite
def bad_rows(draw):
    """Bytes that are no Example, and good rows with one list longer, shorter or gone."""
    row = draw(good_rows)
    kind = draw(st.sampled_from(["bytes", "cut", "counts", "users"]))
    if kind == "bytes":
        return draw(st.binary(min_size=1, max_size=20).map(lambda tail: b"\x0a\xff" + tail))
    if kind == "cut":
        return row[: draw(st.integers(1, len(row) - 1))]
    if kind == "users":
        return changed(row, user=draw(st.sampled_from([[], [b"u1", b"u1"], [3]])))
    name = draw(st.sampled_from(["search_word_counts", "search_item_counts"]))
    counts = tf.train.Example.FromString(row).features.feature[name].int64_list.value
    return changed(row, **{name: [*counts, draw(st.integers(-2, 9))]})


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.one_of(good_rows.map(lambda row: (True, row)), bad_rows().map(lambda row: (False, row))),
        min_size=1,
        max_size=6,
    )
)
def test_scores_of_good_rows_do_not_depend_on_the_others(signatures, rows):
    together = scores(signatures, [row for _, row in rows])
    for (good, row), found in zip(rows, together, strict=True):
        [alone] = scores(signatures, [row])
        # A cut may fall where a whole, shorter Example ends, and that one is as good as any other.
        assert not good or np.isfinite(alone).all()
        np.testing.assert_allclose(found[: len(alone)], alone, rtol=1e-6, atol=1e-6)
        beyond = tf.float32.min if np.isfinite(alone).all() else np.nan
        np.testing.assert_array_equal(found[len(alone) :], beyond)


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(good_rows, min_size=2, max_size=6))
def test_rank_gives_each_row_what_it_gives_it_alone(signatures, rows):
    together = signatures["rank"](**rank_inputs(rows))
    for row, found in zip(rows, together["scores"], strict=True):
        [alone] = signatures["rank"](**rank_inputs([row]))["scores"]
        np.testing.assert_allclose(found[: len(alone)], alone, rtol=1e-6, atol=1e-6)


def test_states_that_are_no_numbers_are_answered_alone(signatures):
    plain = rank_inputs(RECORDS)
    candidates = plain.pop("candidates")
    state = signatures["encode"](**plain)
    good = signatures["score"](candidates=candidates, **state)
    broken = {name: value.copy() for name, value in state.items()}
    broken["rec_states"][3] = np.nan
    found = signatures["score"](candidates=candidates, **broken)
    assert np.isnan(found["scores"][3]).all()
    assert (found["ranks"][3] == 4).all()
    for name, values in good.items():
        np.testing.assert_array_equal(found[name][:3], values[:3])


def text(*shape):
    return np.full(shape, b"a", object)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"user": text(2)},
            "`user`, `rec_items`, `search_words`, `search_items`, `candidates` should hold equally many",
        ),
        ({"rec_items": text(2, 1)}, "should hold equally many rows. Received:] [1 2 1 1 1]"),
        ({"search_words": text(3, 1, 1)}, "should hold equally many rows. Received:] [1 1 3 1 1]"),
        ({"search_items": text(3, 1, 1)}, "should hold equally many rows. Received:] [1 1 1 3 1]"),
        ({"candidates": text(2, 1)}, "should hold equally many rows. Received:] [1 1 1 1 2]"),
        (
            {"search_items": text(1, 2, 1)},
            "`search_items` should hold at most 1000 searches, as many as `search_words`",
        ),
        (
            {"search_words": text(1, 2, 1)},
            "`search_words` should hold at most 1000 searches, as many as `search_items`",
        ),
        ({"candidates": text(1, 10_002)}, "`candidates` should hold at most 10000 columns. Received:] [1 10002]"),
        ({"rec_items": text(1, 1_002)}, "`rec_items` should hold at most 1000 clicks. Received:] [1 1002]"),
        ({"search_words": text(1, 1, 251)}, "at most 250 strings in each. Received:] [1 1 251]"),
        ({"search_items": text(1, 1, 251)}, "at most 250 strings in each. Received:] [1 1 251]"),
        (
            {"search_words": text(1, 1_002, 1), "search_items": text(1, 1_002, 1)},
            "should hold at most 1000 searches",
        ),
        (
            {
                "search_words": text(40, 1_000, 250),
                "user": text(40),
                "rec_items": text(40, 1),
                "candidates": text(40, 1),
                "search_items": text(40, 1_000, 1),
            },
            "`search_words` should hold at most 8388608 strings. Received:] [10000000]",
        ),
        (
            {
                "user": text(1_025),
                "rec_items": text(1_025, 1),
                "search_words": text(1_025, 1, 1),
                "search_items": text(1_025, 1, 1),
                "candidates": text(1_025, 1),
            },
            "should hold from 1 to 1024 rows. Received:] [1025]",
        ),
        (
            {
                "user": text(0),
                "rec_items": text(0, 1),
                "search_words": text(0, 1, 1),
                "search_items": text(0, 1, 1),
                "candidates": text(0, 1),
            },
            "should hold from 1 to 1024 rows. Received:] [0]",
        ),
        (
            {
                "user": text(300),
                "rec_items": text(300, 1),
                "search_words": text(300, 1, 1),
                "search_items": text(300, 1, 1),
                "candidates": text(300, 1_000),
            },
            "`candidates` should hold at most 262144 strings. Received:] [300000]",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_tensors_that_do_not_fit_together_or_are_too_large_are_refused(signatures, wrong, message):
    fit = {
        "user": text(1),
        "rec_items": text(1, 1),
        "search_words": text(1, 1, 1),
        "search_items": text(1, 1, 1),
        "candidates": text(1, 1),
    }
    assert signatures["rank"](**fit)["ranks"] == 1
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        signatures["rank"](**{**fit, **wrong})
    assert message in error.value.message


@pytest.mark.parametrize("count", [0, 1_025])
@pytest.mark.parametrize("name", ["serving_default", "rank_eval"])
def test_too_many_examples_or_none_are_refused(signatures, name, count):
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"`examples` should hold from 1 to 1024 .*\[{count}\]"):
        signatures[name](examples=np.array([NEWCOMER] * count, object))


@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (4,), (1, 4, 1)], ids=str)
def test_states_of_another_shape_are_refused(signatures, shape):
    plain = rank_inputs(RECORDS[:1])
    candidates = plain.pop("candidates")
    state = signatures["encode"](**plain)
    wrong = {**state, "user": np.ones(shape, np.float32)}
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="(?i)user|shape"):
        signatures["score"](candidates=candidates, **wrong)


def test_a_limit_may_be_reached(signatures):
    plain = {
        "user": text(1),
        "rec_items": text(1, 1_000),
        "search_words": text(1, 1_000, 2),
        "search_items": text(1, 1_000, 1),
        "candidates": text(1, 10_000),
    }
    np.testing.assert_array_equal(signatures["rank"](**plain)["ranks"], 10_000)


def test_nothing_to_look_back_on_and_nothing_to_rank_is_no_error(signatures):
    plain = {
        "user": text(1),
        "rec_items": text(1, 0),
        "search_words": text(1, 0, 1),
        "search_items": text(1, 0, 1),
        "candidates": text(1, 0),
    }
    assert signatures["rank"](**plain)["ranks"].shape == (1, 0)
    assert (scores(signatures, [example("u1", candidates=[])]) == tf.float32.min).all()


@pytest.fixture(scope="module")
def artifact(small, tmp_path_factory):
    """A model artifact that holds the weights alone."""
    folder = tmp_path_factory.mktemp("weights")
    save_weights(small.model, str(folder / "Format-Serving"))
    describe(str(folder / "Format-Serving"), small.model.config, VOCABULARY, "code")
    return folder


def golden(small, artifact):
    return golden_scores(str(artifact / "Format-Serving"), small.transform, RECORDS)


def test_no_constant_of_the_graph_grows_with_the_catalogue(small, directory):
    """Such a copy of a table would be loaded, and kept, beside the table itself."""
    assert small.model.config.num_items == 93
    [graph] = read_saved_model(directory).meta_graphs
    functions = [function.node_def for function in graph.graph_def.library.function]
    nodes = [node for part in (graph.graph_def.node, *functions) for node in part if node.op == "Const"]
    shapes = [[size.size for size in node.attr["value"].tensor.tensor_shape.dim] for node in nodes]
    assert [4 * 4, 4] in shapes  # the scoring head's first layer: dense weights are constants
    assert max(math.prod(shape) for shape in shapes) < 91


def test_each_weight_is_stored_once(small, directory):
    stored = tf.train.list_variables(f"{directory}/variables/variables")
    shapes = sorted(tuple(shape) for name, shape in stored if name != "_CHECKPOINTABLE_OBJECT_GRAPH")
    assert shapes == sorted(tuple(variable.shape) for variable in small.model.weights)
    assert [shape for shape in shapes if 93 in shape] == [(93, 4)]


def test_golden_scores_are_those_of_the_servable(small, signatures, artifact):
    expected = golden(small, artifact)
    assert [len(row) for row in expected] == [3, 2, 1, 4]
    assert len({float(score) for row in expected for score in row}) == 10
    for right, found in zip(expected, scores(signatures, RECORDS), strict=True):
        np.testing.assert_allclose(found[: len(right)], right, rtol=1e-5, atol=1e-5)


def test_a_model_is_loaded_from_its_directory_alone(small, artifact):
    loaded = load(str(artifact / "Format-Serving"))
    assert (type(loaded), loaded.config) == (LcrSer, small.model.config)
    for found, right in zip(loaded.trainable_variables, small.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(found, right)


def test_weights_of_another_shape_are_refused(small, tmp_path):
    save_weights(small.model, str(tmp_path))
    describe(str(tmp_path), dataclasses.replace(small.model.config, dim=8), VOCABULARY, "code")
    with pytest.raises(ValueError, match="The weights in .* are not those of its assets.extra/ranker.json"):
        load(str(tmp_path))


@pytest.mark.long
def test_a_model_that_tf_serving_cannot_run_is_refused(small, directory, artifact, tmp_path, monkeypatch):
    """Keras's own export: TensorFlow loads it, and a session finds variables that nothing was restored into."""
    monkeypatch.setattr(ask, "_run", lambda directory, folder, seconds: child.ask(directory, folder))
    faulty = small.save_as_keras_does(tmp_path / "model")
    write_warm_up(faulty)
    plain = {name: tf.constant(values.tolist()) for name, values in rank_inputs(RECORDS).items()}
    by_tensorflow = tf.saved_model.load(faulty).signatures["rank"](**plain)["scores"]
    right = golden(small, artifact)
    np.testing.assert_allclose(by_tensorflow[0, :3], right[0], rtol=1e-5, atol=1e-5)

    assert check_servable(directory, RECORDS, lambda: right, ServableCheckSettings()).reasons == ()
    reasons = check_servable(faulty, RECORDS, lambda: right, ServableCheckSettings()).reasons
    assert [reason.partition(" failed: ")[0] for reason in reasons] == [
        "replaying the warm-up requests",
        "serving_default",
        "rank",
        "encode and score",
        "recommend and rank",
        "explain",
        "rank_eval",
    ]
    assert all("/table/" in reason and "not exist" in reason for reason in reasons)


@pytest.mark.long
def test_a_warm_up_request_that_fails_is_a_reason(small, directory, artifact, tmp_path, monkeypatch):
    """TF Serving answers them before a version is available: with one that fails it would never be."""
    monkeypatch.setattr(ask, "_run", lambda directory, folder, seconds: child.ask(directory, folder))
    model = shutil.copytree(directory, tmp_path / "model")
    file = tmp_path / "model" / "assets.extra" / "tf_serving_warmup_requests"
    records = [
        record.replace(b"candidates", b"candidatez") if number == 2 else record
        for number, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    ]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)
    [reason] = check_servable(str(model), RECORDS, lambda: golden(small, artifact), ServableCheckSettings()).reasons
    assert reason.startswith("replaying the warm-up requests failed: ")
    assert "candidatez" in reason


def test_the_executor_of_the_check_writes_the_verdict_of_its_inputs(small, artifact, tmp_path, monkeypatch):
    from tfx.types import standard_artifacts

    monkeypatch.setattr(ask, "_run", lambda directory, folder, seconds: child.ask(directory, folder))
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path / "examples"), json.dumps(["test"])
    (tmp_path / "examples" / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples" / "Split-test" / "data.gz"), "GZIP") as writer:
        for record in RECORDS:
            writer.write(record)
    model, graph, verdict = standard_artifacts.Model(), standard_artifacts.TransformGraph(), GateVerdict()
    model.uri, graph.uri, verdict.uri = str(artifact), small.graph_dir, str(tmp_path / "out")
    Executor().Do(
        {"model": [model], "examples": [examples], "transform_graph": [graph]},
        {"verdict": [verdict]},
        {
            "settings": ServableCheckSettings(requests=2).to_json(),
            "code_hash": "",
        },
    )
    found = read_verdict(verdict)
    # The weights alone have no signatures.
    assert found.reasons == tuple(
        f"the signature {name} is missing" for name in ("serving_default", "rank", "encode", "score", "rank_eval")
    )
    assert found.detail["requests"] == 4
    assert verdict.get_int_custom_property("passed") == 0
