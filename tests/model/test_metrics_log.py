"""The table of a training's scalars, and the same scalars for TensorBoard."""

import csv

import pytest
import tensorflow as tf

from model.training.metrics_log import MetricsLog

METRICS = {"HR@1": 0.25, "NDCG@5": 0.5}


def rows(folder, stage="grpo"):
    return list(csv.DictReader((folder / f"{stage}.csv").read_text().splitlines()))


def write_steps(log, steps):
    for step in steps:
        log.write(step, {"loss": tf.constant(1.0 / step), "kl": tf.constant(0.0)}, METRICS if step % 2 == 0 else {})


def events(folder):
    found = {}
    for path in sorted(folder.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_columns_keep_their_order_and_are_blank_without_an_evaluation(tmp_path):
    log = MetricsLog("grpo", str(tmp_path))
    log.resume(-1)
    log.write(0, {}, METRICS)
    write_steps(log, [1, 2])
    assert (tmp_path / "grpo.csv").read_text() == (
        "step,loss,kl,eval/HR@1,eval/NDCG@5\n0,,,0.25,0.5\n1,1,0,,\n2,0.5,0,0.25,0.5\n"
    )
    assert not list(tmp_path.glob("*.tmp"))


def test_tensorboard_gets_what_the_table_gets(tmp_path):
    log = MetricsLog("supervised", str(tmp_path))
    log.resume(-1)
    write_steps(log, range(1, 5))
    table = {
        (f"supervised/{name}", int(row["step"])): pytest.approx(float(value))
        for row in rows(tmp_path, "supervised")
        for name, value in row.items()
        if name != "step" and value
    }
    assert len(table) == 4 * 2 + 2 * 2
    assert events(tmp_path) == table


def test_values_come_back_as_the_float32_they_were(tmp_path):
    log = MetricsLog("grpo", str(tmp_path))
    values = tf.random.stateless_normal([20], [1, 2]) * 1e-3
    for step, value in enumerate(values):
        log.write(step, {"loss": value}, {})
    assert [float(row["loss"]) for row in rows(tmp_path)] == pytest.approx(values.numpy(), rel=1e-8)
    tf.debugging.assert_equal(tf.constant([float(row["loss"]) for row in rows(tmp_path)]), values)


@pytest.mark.parametrize("tear", [False, True], ids=["whole rows", "a torn last row"])
def test_a_resumed_table_equals_that_of_an_uninterrupted_run(tmp_path, tear):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write_steps(MetricsLog("grpo", str(whole)), range(1, 13))
    write_steps(MetricsLog("grpo", str(cut)), range(1, 13))
    if tear:
        # Only the first digit of step 12 was written, which reads as step 1.
        text = (cut / "grpo.csv").read_text()
        (cut / "grpo.csv").write_text(text[: text.rindex("12,") + 1])
    resumed = MetricsLog("grpo", str(cut))
    resumed.resume(9)
    assert [row["step"] for row in rows(cut)] == [str(step) for step in range(1, 10)]
    write_steps(resumed, range(10, 13))
    assert (cut / "grpo.csv").read_text() == (whole / "grpo.csv").read_text()


def test_a_new_training_starts_a_new_table(tmp_path):
    write_steps(MetricsLog("grpo", str(tmp_path)), [1, 2])
    log = MetricsLog("grpo", str(tmp_path))
    log.resume(-1)
    log.write(1, {"other": 3.0}, {})
    assert rows(tmp_path) == [{"step": "1", "other": "3"}]


def test_a_resumed_training_in_another_folder_starts_there(tmp_path):
    log = MetricsLog("grpo", str(tmp_path))
    log.resume(4)
    write_steps(log, [5])
    assert [row["step"] for row in rows(tmp_path)] == ["5"]
