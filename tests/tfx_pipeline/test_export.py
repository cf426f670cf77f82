"""The export: training as it is, then warm-up requests beside the model."""

import types

import tensorflow as tf

from tfx_pipeline import export


def test_what_training_exports_gets_warm_up_requests(monkeypatch, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def scores(examples):
        return {"scores": tf.zeros([tf.size(examples), 1])}

    def train(fn_args):
        tf.saved_model.save(tf.Module(), fn_args.serving_model_dir, signatures={"serving_default": scores})
        return True

    monkeypatch.setattr(export.trainer, "grpo_run_fn", train)
    export.grpo_run_fn(types.SimpleNamespace(serving_model_dir=str(tmp_path)))
    records = tf.data.TFRecordDataset(str(tmp_path / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(list(records)) == 2
    exported = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert exported(tf.constant(["a"]))["scores"].shape == (1, 1)


def test_a_worker_that_keeps_no_model_adds_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(export.trainer, "grpo_run_fn", lambda fn_args: False)
    export.grpo_run_fn(types.SimpleNamespace(serving_model_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())
