"""Curves are the numbers that a training logged."""

from components.report.gather.training_curves import training_curves
from model.training.metrics_log import MetricsLog


def test_rows_hold_what_was_logged_and_no_more(tmp_path):
    log = MetricsLog("grpo", str(tmp_path))
    log.write(0, {}, {"NDCG@5": 0.25})
    log.write(1, {"loss": -0.5, "kl": 0.0}, {})
    log.write(2, {"loss": 2.0**-20, "kl": 1e-30}, {"NDCG@5": 0.0})
    assert training_curves(str(tmp_path), "grpo") == [
        {"step": 0.0, "eval/NDCG@5": 0.25},
        {"step": 1.0, "loss": -0.5, "kl": 0.0},
        {"step": 2.0, "loss": 9.53674316e-07, "kl": 1e-30, "eval/NDCG@5": 0.0},
    ]


def test_a_table_written_by_hand(tmp_path):
    (tmp_path / "supervised.csv").write_text("step,loss,eval/HR@1\n1,0.5,\n10,,0.25\n")
    assert training_curves(str(tmp_path), "supervised") == [
        {"step": 1.0, "loss": 0.5},
        {"step": 10.0, "eval/HR@1": 0.25},
    ]
