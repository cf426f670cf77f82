"""The run page: why nothing was pushed, and what the data check measured."""

import dataclasses

import pytest

from components.data_check.comparison import Measurement
from components.data_check.judge import judge
from components.report import page

DRIFTED = Measurement("drift", "search_words", "infinity_norm", 0.42, 0.3)
EMPTY = Measurement("skew", "rec_items", "jensen_shannon", None, 0.5)
CLOSE = Measurement("drift", "rec_items", "jensen_shannon", 0.1, 0.5)


def figures(*measurements, blessed=True):
    verdict = judge({}, measurements, ["skew was not checked: no requests"])
    pushed = "serving/7" if blessed and verdict.passed else None
    metrics = dict.fromkeys(page.METRICS, 0.5)
    return {"name": "n", "log": {}, "data_check": dataclasses.asdict(verdict), "blessed": blessed, "pushed": pushed,
            "version": "7", "metrics": {"candidate": metrics, "popularity": metrics}}


@pytest.fixture
def render(monkeypatch):
    monkeypatch.setattr(page, "format_counts", lambda log: "counts of the log")
    return page.render


def test_an_anomaly_is_named_on_the_page(render):
    text = render(figures(DRIFTED, EMPTY, CLOSE))
    assert "**Nothing was pushed.**" in text
    assert "- DataCheck: search_words drifted: L-infinity 0.42 > 0.3\n" in text
    assert "- DataCheck: rec_items is skewed against serving: one side has no values\n" in text
    assert "| drift | search_words | infinity_norm | 0.4200 | 0.3 |\n" in text
    assert "| skew | rec_items | jensen_shannon | one side is empty | 0.5 |\n" in text
    assert "| drift | rec_items | jensen_shannon | 0.1000 | 0.5 |\n" in text


def test_a_push_has_no_reasons_against_it(render):
    text = render(figures(CLOSE))
    assert "**Blessed and pushed** as version `7`" in text
    assert "Nothing was pushed" not in text
    assert "- skew was not checked: no requests\n" in text


def test_every_gate_that_refused_gives_its_reason():
    reasons = page.why_not_pushed(figures(DRIFTED, blessed=False))
    assert [reason.split(":")[0] for reason in reasons] == ["DataCheck", "Evaluator"]
    assert page.why_not_pushed(figures(CLOSE)) == []


def test_metrics_stand_in_the_order_of_a_table():
    names = ["MRR", "NDCG@20", "HR@10", "HR@2", "NDCG@5"]
    assert page.metric_names({"candidate": dict.fromkeys(names, 0.5)}) == ["HR@2", "HR@10", "NDCG@5", "NDCG@20", "MRR"]


UNCHANGED = "unchanged: version 7 is this model already"


def test_a_model_that_is_pushed_already_is_said_to_be(render):
    text = render({**figures(CLOSE), "push_reason": UNCHANGED})
    assert f"- Pusher: {UNCHANGED}\n" in text
    assert "Nothing was pushed" not in text


def test_the_pushers_reason_does_not_repeat_the_gates():
    refused = {**figures(DRIFTED), "push_reason": "DataCheck: search_words drifted"}
    assert [reason.split(":")[0] for reason in page.why_not_pushed(refused)] == ["DataCheck"]
