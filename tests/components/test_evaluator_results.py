"""What the stock Evaluator measured and refused, on served models whose ranks are known."""

import pytest
import tensorflow as tf
from tfx.components.evaluator.executor import Executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from components.evaluator.eval_config import eval_config
from components.evaluator.results import evaluator_verdict, model_metrics
from tests.support.beam_graphs import StrictPipeline
from tests.support.checkable_servable import example, export
from tests.support.transform_graph import BEAM_ARGUMENTS

pytestmark = pytest.mark.slow

CANDIDATES = ["item 0", "item 1"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Evaluates a model that ranks three positives of four last against one that ranks them first."""
    folder = tmp_path_factory.mktemp("evaluated")

    def artifact(kind, name):
        made = kind()
        made.uri = str(folder / name)
        return made

    models = {fault: artifact(standard_artifacts.Model, fault) for fault in ("none", "reversed")}
    for fault, model in models.items():
        export(f"{model.uri}/Format-Serving", None if fault == "none" else fault)
    best = int(
        tf.saved_model.load(f"{models['none'].uri}/Format-Serving")
        .signatures["serving_default"](examples=tf.constant([example(candidates=CANDIDATES)]))["scores"]
        .numpy()[0]
        .argmax()
    )
    examples = artifact(standard_artifacts.Examples, "examples")
    examples.split_names = artifact_utils.encode_split_names(["test"])
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    split = artifact_utils.get_split_uri([examples], "test")
    tf.io.gfile.makedirs(split)
    with tf.io.TFRecordWriter(f"{split}/data-00000.gz", "GZIP") as writer:
        for at in range(4):
            writer.write(
                example(
                    user="u",
                    rec_items=["a"],
                    searches=[(["red"], ["a"])],
                    candidates=CANDIDATES,
                    label=1 - best if at == 3 else best,
                )
            )
    evaluation = artifact(standard_artifacts.ModelEvaluation, "evaluation")
    blessing = artifact(standard_artifacts.ModelBlessing, "blessing")
    context = Executor.Context(tmp_dir=str(folder), make_beam_pipeline_fn=lambda: StrictPipeline(argv=BEAM_ARGUMENTS))
    Executor(context).Do(
        {"model": [models["reversed"]], "baseline_model": [models["none"]], "examples": [examples]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(eval_config(0.9, 0.01, (1, 5))),
            "example_splits": '["test"]',
            "fairness_indicator_thresholds": "null",
            "module_path": "components.evaluator.rank_extractors",
        },
    )
    return evaluation.uri, blessing.get_int_custom_property("blessed")


SECOND = 1 / 1.5849625007211562  # 1 / log2(3)


def test_both_models_get_their_metrics(evaluated):
    assert model_metrics(evaluated[0]) == {
        "candidate": pytest.approx({"HR@1": 0.25, "HR@5": 1, "NDCG@5": (3 * SECOND + 1) / 4, "MRR": 0.625}),
        "baseline": pytest.approx({"HR@1": 0.75, "HR@5": 1, "NDCG@5": (3 + SECOND) / 4, "MRR": 0.875}),
    }


def test_each_missed_threshold_is_a_reason(evaluated):
    evaluation, blessed = evaluated
    assert blessed == 0
    lower = (3 + SECOND) / 4 - (3 * SECOND + 1) / 4
    assert set(evaluator_verdict(evaluation, False).reasons) == {
        f"NDCG@5 is {(3 * SECOND + 1) / 4:.4f}, below 0.9",
        f"NDCG@5 is {lower:.4f} lower than the last pushed model's, more than 0.01",
    }


def test_a_blessing_has_none(evaluated):
    assert evaluator_verdict(evaluated[0], True).reasons == ()
