"""Golden scores: what weights and Transform's graph give apart is what the servable gives."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from checkable_servable import example

from benchmarks.transform_graph import example as timeline
from benchmarks.transform_graph import write_transform_graph
from components.gates import GateVerdict, read_verdict
from components.servable import Servable, save_weights
from components.servable_check import ask, child
from components.servable_check.executor import Executor
from components.servable_check.golden import golden_scores
from components.servable_check.settings import ServableCheckSettings
from components.vocabularies import table_sizes
from model.config import ModelConfig
from model.lcr_ser import LcrSer

VOCABULARY = {"items": "vocabulary", "users": "vocabulary", "words": "hash",
              "max_items": 4, "max_users": None, "max_words": 10}
TRAIN = [timeline(user=["u1"], rec_items=["a", "b", "c"], rec_searches_before=[0, 1, 1], rec_is_target=[0, 1, 1],
                  search_words=["red"], search_word_counts=[1], search_items=["d"], search_item_counts=[1])]
SHAPE = {"dim": 4, "rec_length": 3, "search_length": 2, "words_per_search": 2, "items_per_search": 1,
         "mlp_units": [4]}
RECORDS = [
    # More clicks, searches, words and clicked items than the model looks at.
    example("u1", ["a", "b", "c", "d"], [(["red"], []), (["blue", "shoe", "tall"], ["a", "b"]), (["red"], ["c"])],
            ["a", "c", "never seen"]),
    example("u2", [], [], ["d", "a"]),
    example("u1", ["never seen"], [([], ["a"])], ["a"]),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The transform output, a model with weights that are not small, and the directory of a model artifact."""
    folder = tmp_path_factory.mktemp("trained")
    transform = write_transform_graph(str(folder / "graph"), VOCABULARY, TRAIN)
    model = LcrSer(ModelConfig(**SHAPE, **table_sizes(transform, VOCABULARY)))
    random = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    save_weights(model, str(folder / "model" / "Format-Serving"))
    return transform, model, folder


def test_they_are_those_of_the_servable(trained):
    transform, model, folder = trained
    golden = golden_scores(str(folder / "model" / "Format-Serving"), model.config, transform, RECORDS)
    servable = Servable(model, transform)  # its functions know it by a weak reference
    served = servable._score_examples(tf.constant(RECORDS))["scores"].numpy()
    assert [len(row) for row in golden] == [3, 2, 1]
    assert len({float(score) for row in golden for score in row}) == 6
    for ours, theirs in zip(golden, served, strict=True):
        np.testing.assert_allclose(theirs[:len(ours)], ours, rtol=1e-5, atol=1e-5)


def test_weights_of_another_shape_are_refused(trained):
    transform, model, folder = trained
    with pytest.raises((ValueError, AssertionError)):
        golden_scores(str(folder / "model" / "Format-Serving"), dataclasses.replace(model.config, dim=8), transform,
                      RECORDS)


def test_the_executor_writes_the_verdict_of_its_inputs(trained, tmp_path, monkeypatch):
    from tfx.types import standard_artifacts

    monkeypatch.setattr(ask, "_run", lambda directory, folder, seconds: child.ask(directory, folder))
    transform, _, folder = trained
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path / "examples"), json.dumps(["test"])
    (tmp_path / "examples" / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples" / "Split-test" / "data.gz"), "GZIP") as writer:
        for record in RECORDS:
            writer.write(record)
    model, graph, verdict = standard_artifacts.Model(), standard_artifacts.TransformGraph(), GateVerdict()
    model.uri, graph.uri, verdict.uri = str(folder / "model"), transform._transform_output_dir, str(tmp_path / "out")
    Executor().Do({"model": [model], "examples": [examples], "transform_graph": [graph]}, {"verdict": [verdict]}, {
        "settings": ServableCheckSettings(requests=2).to_json(), "model_shape": json.dumps(SHAPE),
        "vocabulary": json.dumps(VOCABULARY), "code_hash": ""})
    found = read_verdict(verdict)
    # The weights alone have no signatures.
    assert found.reasons == tuple(f"the signature {name} is missing" for name in (
        "serving_default", "rank", "encode", "score", "rank_eval"))
    assert found.detail["requests"] == 4
    assert verdict.get_int_custom_property("passed") == 0
