"""Warm-up requests: what TF Serving's form wants, from nobody's data, and answered by a server that loads them."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from serving.dev_server.servable import LoadedVersion
from serving.warmup import BATCH_SIZES, FILE, SERVED, write_warm_up
from tests.support.toy_servable import Toy


class Encoding(Toy):
    """The toy with the other two signatures that are served."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user")])
    def encode(self, user):
        return {"state": tf.zeros([tf.shape(user)[0], 4])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "candidates"),
            tf.TensorSpec([None, 4], tf.float32, "state"),
        ]
    )
    def score(self, candidates, state):
        return {"scores": tf.cast(candidates != "", tf.float32) * tf.reduce_sum(state, 1)[:, None]}


OWN = [name for name in SERVED if hasattr(Encoding(1), name)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("warm") / "1"
    toy = Encoding(1)
    tf.saved_model.save(toy, str(directory), signatures={name: getattr(toy, name) for name in (*OWN, "lookup")})
    write_warm_up(str(directory))
    return directory


def requests(directory):
    from tensorflow_serving.apis import prediction_log_pb2

    return [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(str(directory / FILE)).as_numpy_iterator()
    ]


def test_every_served_signature_is_asked_with_every_batch_size(model):
    found = [
        (
            one.model_spec.name,
            one.model_spec.signature_name,
            min(size.tensor_shape.dim[0].size for size in one.inputs.values()),
        )
        for one in requests(model)
    ]
    assert found == [("lcr_ser", name, size) for name in OWN for size in BATCH_SIZES]
    assert max(BATCH_SIZES) > 1
    for one in requests(model):
        assert len({value.tensor_shape.dim[0].size for value in one.inputs.values()}) == 1


def test_its_ids_are_nobodys(model):
    rank = next(one for one in requests(model) if one.model_spec.signature_name == "rank")
    strings = [text for value in rank.inputs.values() for text in tf.make_ndarray(value).ravel()]
    assert all(text.startswith(b"warm-up ") for text in strings)
    assert len(set(strings)) == len(strings)
    example = tf.train.Example.FromString(tf.make_ndarray(requests(model)[0].inputs["examples"])[0])
    features = example.features.feature
    assert {name: len(features[name].bytes_list.value) for name in ("user", "rec_items", "candidates")} == {
        "user": 1,
        "rec_items": 10,
        "candidates": 100,
    }
    for strings, counts in (("search_words", "search_word_counts"), ("search_items", "search_item_counts")):
        assert sum(features[counts].int64_list.value) == len(features[strings].bytes_list.value) == 30
    assert "label" not in features


def test_a_server_answers_them_when_it_loads_the_version(model, monkeypatch):
    asked = []
    predict = LoadedVersion.predict

    def recorded(self, request):
        response = predict(self, request)
        answers = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        asked.append((request.model_spec.signature_name, max(map(len, answers.values()))))
        assert all(np.isfinite(value).all() for value in answers.values())
        return response

    monkeypatch.setattr(LoadedVersion, "predict", recorded)
    LoadedVersion(model, "lcr_ser", 1).close()
    assert sorted(asked) == sorted((name, size) for name in OWN for size in BATCH_SIZES)


def test_equal_models_get_equal_files_and_signatures_that_are_not_there_are_not_asked(model, exported, tmp_path):
    again = shutil.copytree(model, tmp_path / "again")
    write_warm_up(str(again))
    assert (again / FILE).read_bytes() == (model / FILE).read_bytes()
    without = shutil.copytree(exported(1), tmp_path / "without")
    write_warm_up(str(without))
    assert [one.model_spec.signature_name for one in requests(without)] == ["serving_default"] * 2 + ["rank"] * 2
