"""Every kind of model is served by the same servable, whose signatures take what the model reads and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from components.evaluation.popularity import popularity_ranks
from components.servable.saving import describe, load, save, save_weights
from components.servable.servable import Servable
from components.servable_check.golden import golden_scores
from components.servable_check.requests import rank_inputs, rank_times
from components.servable_check.session import SessionModel
from components.transform.vocabularies import ranker_config
from model.baselines.popularity import PopularityConfig
from model.baselines.sasrec import SasRec
from model.contract import CANDIDATES, INPUTS, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, USER
from model.evaluation.evaluator import RankingEvaluator
from model.ops.normalization import Normalization
from model.ranker import Ranker
from model.registry import KINDS, make_config, make_ranker
from serving.warmup import write_warm_up
from tests.support.checkable_servable import example
from tests.support.kinds import some
from tests.support.random_logs import random_logs, randomise
from tests.support.small_servable import RECORDS, SHAPE, TRAIN, VOCABULARY
from tests.support.transform_graph import write_transform_graph

pytestmark = pytest.mark.slow

OTHERS = [kind for kind in KINDS if kind != "lcr_ser"]  # which test_servable.py is about
NOW = 1_764_036_000_123


def timed(record):
    """A request with times: clicks a second apart from `NOW`, and searches half a second later."""
    request = tf.train.Example.FromString(record)
    for name, events, begin in ((REC_TIMES, "rec_items", NOW), (SEARCH_TIMES, "search_word_counts", NOW + 500)):
        feature = request.features.feature[events]
        count = len(feature.bytes_list.value) + len(feature.int64_list.value)
        request.features.feature[name].int64_list.value.extend(range(begin, begin + 1000 * count, 1000))
    return request.SerializeToString()


REQUESTS = [timed(record) for record in RECORDS]
LENGTHS = {name: value for name, value in SHAPE.items() if name not in ("mlp_units", "reasoning_steps")}


@pytest.fixture(scope="module", params=some(OTHERS, always=()))
def served(request, tmp_path_factory):
    """Kind, directory, Transform's output and the model as TF Serving loads it."""
    folder = tmp_path_factory.mktemp(request.param)
    transform = write_transform_graph(str(folder / "graph"), VOCABULARY, TRAIN)
    model = randomise(make_ranker(ranker_config(transform, VOCABULARY, {**LENGTHS, "kind": request.param})))
    timelines, _ = random_logs()
    timelines.rec_items[:] %= model.config.num_items
    model.fit_counts(timelines)
    servable, directory = Servable(model, transform), str(folder / "model")
    save(servable, directory, servable.signatures())
    describe(directory, model.config, VOCABULARY, "code")
    write_warm_up(directory)
    with SessionModel(directory) as session:
        yield model, directory, transform, session


def test_signatures_take_what_the_model_reads(served):
    model, _, _, session = served
    assert session.inputs["rank"] == {*model.inputs, CANDIDATES}
    assert session.inputs["encode"] == set(model.inputs)
    assert session.inputs["serving_default"] == {"examples"}


def test_every_signature_gives_the_scores_of_the_model(served):
    model, directory, transform, session = served
    plain = {**rank_inputs(REQUESTS), **rank_times(REQUESTS)}
    history = {name: plain[name] for name in model.inputs}
    by_examples = session.signatures["serving_default"](examples=np.array(REQUESTS, object))["scores"]
    by_tensors = session.signatures["rank"](candidates=plain[CANDIDATES], **history)
    state = session.signatures["encode"](**history)
    in_two = session.signatures["score"](candidates=plain[CANDIDATES], **state)
    for row, right in enumerate(golden_scores(directory, transform, REQUESTS)):
        for found in (by_examples, by_tensors["scores"], in_two["scores"]):
            np.testing.assert_allclose(found[row, : len(right)], right, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(by_tensors["ranks"], in_two["ranks"])


def test_the_weights_come_back_from_the_directory_alone(served):
    model, directory, _, _ = served
    loaded = load(directory)
    assert (type(loaded), loaded.config) == (type(model), model.config)
    for found, right in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(found, right)


def test_what_the_model_does_not_read_may_be_missing_or_wrong(served):
    model, _, _, session = served
    request = timed(example("u1", ["a"], [(["red"], ["b"])], ["a", "c"]))
    bare, full = tf.train.Example(), tf.train.Example.FromString(request)
    read = {feature for name in model.inputs for feature in INPUTS[name]}
    for name in (*read, CANDIDATES):
        bare.features.feature[name].CopyFrom(full.features.feature[name])
    for name in {"search_word_counts", "search_item_counts", REC_TIMES, SEARCH_TIMES} - read:
        full.features.feature[name].int64_list.value[:] = [-3, -3]
    if USER not in read:
        full.features.feature[USER].bytes_list.value[:] = [b"u1", b"u2"]
    found = session.signatures["serving_default"](
        examples=np.array([bare.SerializeToString(), full.SerializeToString()], object)
    )["scores"]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)  # two rows of a batch may be rounded apart


def test_the_popularity_ranker_ranks_as_the_popularity_that_models_are_compared_with():
    timelines, requests = random_logs()
    model = make_ranker(make_config({"kind": "popularity", "num_users": 64, "num_items": 42, "num_words": 12}))
    model.fit_counts(timelines)
    np.testing.assert_array_equal(RankingEvaluator(model, requests, 16).ranks(), popularity_ranks(requests, timelines))


class NewestFirst(Ranker):
    """Reads times: scores a candidate by how much later the newest click was than the newest search, in ms."""

    inputs = (REC_ITEMS, SEARCH_ITEMS, REC_TIMES, SEARCH_TIMES)
    config_class = PopularityConfig

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.build()

    def encode(self, batch):
        lead = batch[REC_TIMES][:, -1:] - batch[SEARCH_TIMES][:, -1:]
        return {"lead": tf.cast(lead, tf.float32)}

    def prepare(self, items):
        return items

    def score(self, state, items):
        return state["lead"] + tf.cast(items == 2, tf.float32) / 2


@pytest.mark.long
def test_times_reach_the_model_to_the_millisecond(tmp_path):
    transform = write_transform_graph(str(tmp_path / "graph"), VOCABULARY, TRAIN)
    model = NewestFirst(ranker_config(transform, VOCABULARY, {**LENGTHS, "kind": "popularity"}))
    servable = Servable(model, transform)
    save(servable, str(tmp_path / "model"), servable.signatures())
    now = NOW
    # (times of clicks, times of searches), each history longer than the model looks at, or empty.
    histories = [([now - 5, now, now + 1, now + 2], [now + 1]), ([now], [now - 9, now - 8, now + 7]), ([], [now])]
    records = []
    for clicks, searches in histories:
        record = tf.train.Example.FromString(
            example("u1", ["a"] * len(clicks), [(["red"], ["b"])] * len(searches), ["a", "c"])
        )
        record.features.feature["rec_times"].int64_list.value.extend(clicks)
        record.features.feature["search_times"].int64_list.value.extend(searches)
        records.append(record.SerializeToString())
    expected = [1, -7, np.float32(-now)]
    plain = {**rank_inputs(records), **rank_times(records)}
    with SessionModel(str(tmp_path / "model")) as session:
        assert session.inputs["rank"] == {*model.inputs, CANDIDATES}
        by_examples = session.signatures["serving_default"](examples=np.array(records, object))["scores"]
        by_tensors = session.signatures["rank"](**{name: plain[name] for name in session.inputs["rank"]})["scores"]
        short = tf.train.Example.FromString(records[0])
        short.features.feature["rec_times"].int64_list.value.pop()
        unread = session.signatures["serving_default"](examples=np.array([short.SerializeToString()], object))
    np.testing.assert_array_equal(by_examples[:, 1], expected)  # "c" is no item of id 2
    np.testing.assert_array_equal(by_tensors, by_examples)
    assert np.isnan(unread["scores"]).all()


class InAList(SasRec):
    """Keeps a layer in a list, which Keras sees and TensorFlow does not."""

    def build(self, input_shape=None):
        self.further = [Normalization(1e-5)]
        self.further[0].build((None, 4))
        super().build()


def test_a_weight_that_would_not_be_saved_is_refused(tmp_path):
    config = make_config({"kind": "sasrec", "num_users": 4, "num_items": 4, "num_words": 4, **LENGTHS})
    with pytest.raises(ValueError, match="Every weight should lie below an attribute of `model`"):
        save_weights(InAList(config), str(tmp_path))
