"""RankingCheck on served models whose scores NumPy can compute: figures, reasons, and what the Pusher does then."""

from pathlib import Path

import farmhash
import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.common.artifacts import GateVerdict, Ranks
from components.common.verdict import Verdict, read_verdict, write_verdict
from components.evaluation.names import SLICES
from components.evaluation.raw_requests import raw_requests
from components.evaluation.request_ranks import RequestRanks
from components.pusher.executor import Executor as Pusher
from components.ranking_check.executor import Executor
from components.ranking_check.settings import RankingCheckSettings, thresholds_of
from components.servable.saving import describe
from components.servable.servable import Servable
from components.transform.vocabularies import table_sizes
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from tests.support.checkable_servable import BUCKETS, FIRST_TIME, example, export
from tests.support.transform_graph import example as timeline
from tests.support.transform_graph import write_transform_graph

pytestmark = pytest.mark.slow

METRICS = ("HR@1", "NDCG@5", "MRR")
ITEMS = [f"item {number}" for number in range(12)]
VOCABULARY = {
    "items": "vocabulary",
    "users": "vocabulary",
    "words": "hash",
    "max_items": 100,
    "max_users": None,
    "max_words": 10,
}
SHAPE = {
    "dim": 4,
    "rec_length": 3,
    "search_length": 2,
    "words_per_search": 2,
    "items_per_search": 1,
    "mlp_units": [4],
    "reasoning_steps": 0,
}
CLICKS = [*ITEMS[:8], *ITEMS[:3], ITEMS[0]]  # item 0 three times, 1 and 2 twice, 3 to 7 once


def score(item):
    return farmhash.fingerprint64(item) % BUCKETS


def requests(number=200):
    """The positive is what the model without a fault ranks first in two requests of three, and last in the third."""
    random = np.random.default_rng(5)
    made = []
    for at in range(number):
        candidates = [ITEMS[one] for one in random.choice(len(ITEMS), 6, replace=False)]
        order = np.argsort([score(item) for item in candidates])
        label = int(order[0] if at % 3 == 0 else order[-1])
        searches = [(["red"], [])] if at % 2 else []
        made.append(example("u2", ITEMS[: at % 4], searches, candidates, label, stored=True))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranking")
    train = [
        timeline(
            user=["u1"],
            rec_items=CLICKS,
            rec_searches_before=[0] * 12,
            rec_clicks_before=list(range(12)),
            rec_is_target=[1] * 12,
            search_words=["red"],
            search_word_counts=[1],
            search_items=[],
            search_item_counts=[0],
        )
    ]
    transform = write_transform_graph(str(folder / "graph"), VOCABULARY, train)
    ids = transform.transform_raw_features(
        {"rec_items": tf.ragged.constant([CLICKS]), "user": tf.ragged.constant([["u1"]])}, drop_unused_features=True
    )
    write(folder / "transformed" / "Split-train", [timeline_of_ids(ids)])
    write(folder / "examples" / "Split-test", requests())
    for fault in ("none", "nan", "reversed"):
        export(folder / fault / "Format-Serving", None if fault == "none" else fault)
    return folder


def timeline_of_ids(ids):
    return timeline(
        user=ids["user"].values.numpy().tolist(),
        rec_items=ids["rec_items"].values.numpy().tolist(),
        rec_searches_before=[0] * 12,
        rec_clicks_before=list(range(12)),
        rec_is_target=[1] * 12,
        rec_times=list(range(12)),
        search_words=[2],
        search_word_counts=[1],
        search_items=[2],
        search_item_counts=[1],
        search_times=[0],
        search_clicks_before=[0],
        search_searches_before=[0],
        search_is_target=[1],
    )


def write(split, records):
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data-00000.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record)


def test_requests_keep_their_times(folder):
    records = [example("u2", ITEMS[:clicks], [(["red"], [])], ITEMS[:3], stored=True) for clicks in (2, 0)]
    read = raw_requests(str(folder / "graph"), records)
    assert read.rec_times.tolist() == [FIRST_TIME, FIRST_TIME + 1]
    assert read.search_times.tolist() == [FIRST_TIME] * 2
    assert (read.rec_times.dtype, read.rec_items.dtype) == (np.int64, np.int32)


@pytest.fixture
def check(folder, tmp_path):
    """Runs RankingCheck and then the Pusher: the verdict, the reason of the Pusher, and the ranks."""

    def artifact(kind, path, splits=()):
        made = kind()
        made.uri = str(path)
        if splits:
            made.split_names = artifact_utils.encode_split_names(list(splits))
        return [made]

    def run(candidate="none", baseline=None, thresholds=None, **settings):
        model = artifact(standard_artifacts.Model, folder / candidate)
        examples = artifact(standard_artifacts.Examples, folder / "examples", ["test"])
        verdict, ranks = artifact(GateVerdict, tmp_path / "verdict"), artifact(Ranks, tmp_path / "ranks")
        Path(ranks[0].uri).mkdir(exist_ok=True)
        given = RankingCheckSettings(metrics=METRICS, thresholds=thresholds_of(thresholds or {}), **settings)
        Executor().Do(
            {
                "model": model,
                "examples": examples,
                "baseline_model": artifact(standard_artifacts.Model, folder / baseline) if baseline else [],
                "transformed_examples": artifact(standard_artifacts.Examples, folder / "transformed", ["train"]),
                "transform_graph": artifact(standard_artifacts.TransformGraph, folder / "graph"),
            },
            {"verdict": verdict, "ranks": ranks},
            {"settings": given.to_json()},
        )
        data_verdict = artifact(GateVerdict, tmp_path / "data")
        write_verdict(data_verdict[0], Verdict("DataCheck"))
        blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")
        blessing[0].set_int_custom_property("blessed", 1)
        pushed = artifact(standard_artifacts.PushedModel, tmp_path / "pushed")
        Pusher().Do(
            {
                "model": model,
                "model_blessing": blessing,
                "verdict": data_verdict,
                "ranking_verdict": verdict,
                "evaluation": artifact(standard_artifacts.ModelEvaluation, tmp_path),
                "examples": examples,
            },
            {"pushed_model": pushed},
            {"serving_dir": str(tmp_path / "serving"), "keep_versions": 2, "model_code": ""},
        )
        return (
            read_verdict(verdict[0]),
            pushed[0].get_string_custom_property("reason"),
            RequestRanks.read(str(tmp_path / "ranks" / "ranks.parquet")),
        )

    return run


@pytest.fixture(autouse=True)
def no_evaluator(monkeypatch):
    monkeypatch.setattr("components.pusher.executor.model_metrics", lambda uri: {"candidate": {}})


def parsed():
    rows = [tf.train.Example.FromString(one).features.feature for one in requests()]
    return [
        (
            [value.decode() for value in row["candidates"].bytes_list.value],
            row["label"].int64_list.value[0],
            len(row["rec_items"].bytes_list.value),
            len(row["search_word_counts"].int64_list.value),
        )
        for row in rows
    ]


def test_every_figure_is_that_of_a_plain_computation(check):
    verdict, reason, kept = check(baseline="reversed")
    assert (verdict.gate, verdict.reasons, reason) == ("RankingCheck", (), "")
    figures, rows = verdict.detail, parsed()
    by_model = {"candidate": score, "baseline": lambda item: -score(item), "popularity": CLICKS.count}
    ranks = {
        role: np.array([sum(key(one) >= key(items[label]) for one in items) for items, label, _, _ in rows])
        for role, key in by_model.items()
    }
    in_slice = {
        "all": [True] * len(rows),
        "searches: none": [not row[3] for row in rows],
        "searches: some": [row[3] > 0 for row in rows],
        "clicks in history: 0": [row[2] == 0 for row in rows],
        "clicks in history: 1 to 4": [0 < row[2] < 5 for row in rows],
        "searches in history: 1 to 2": [row[3] == 1 for row in rows],
        # Items 0 to 2 hold 7 of 12 clicks, items 0 and 1 no half; 1 and 2 are clicked equally often.
        "target: popular": [row[0][row[1]] in ITEMS[:3] for row in rows],
        "target: rare": [row[0][row[1]] in ITEMS[3:8] for row in rows],
        "target: new": [row[0][row[1]] in ITEMS[8:] for row in rows],
    }
    assert tuple(figures["models"]["candidate"]) == SLICES
    for role, of_role in ranks.items():
        np.testing.assert_array_equal(kept.ranks[role], of_role)
        for name, rows_of in in_slice.items():
            found, part = figures["models"][role][name], of_role[np.array(rows_of)]
            assert found["HR@1"]["requests"] == len(part) > 0
            assert found["HR@1"]["value"] == pytest.approx(np.mean(part == 1), abs=1e-9)
            assert found["MRR"]["value"] == pytest.approx(np.mean(1 / part), abs=1e-9)
    change = figures["differences"]["baseline"]["all"]["MRR"]
    assert change["value"] == pytest.approx(np.mean(1 / ranks["candidate"]) - np.mean(1 / ranks["baseline"]), abs=1e-9)
    assert change["low"] > 0
    assert (figures["requests"], figures["non_finite"], figures["full_catalogue"]) == (200, 0, None)


def test_scores_that_are_no_numbers_stop_the_push(check):
    verdict, reason, _ = check("nan")
    assert verdict.reasons == ("200 of 200 requests have a score that is not a finite number",)
    assert reason == f"RankingCheck: {verdict.reasons[0]}"
    assert verdict.detail["models"]["candidate"]["all"]["HR@1"]["value"] == 0


def test_a_model_that_is_significantly_worse_is_not_pushed(check):
    verdict, reason, _ = check("reversed", "none", {"all": {"MRR": {"significance": 0.01}}})
    assert [one.split(":")[0] for one in verdict.reasons] == [
        "MRR of 'all' is significantly lower than the last pushed model's"
    ]
    assert reason.startswith("RankingCheck: MRR")


def test_a_slice_below_its_floor_stops_the_push_unless_it_is_small(check):
    floor = {"target: new": {"HR@1": {"min": 0.99}}}
    small = sum(items[label] in ITEMS[8:] for items, label, _, _ in parsed())
    verdict, reason, _ = check(thresholds=floor, min_slice_requests=small)
    assert reason.startswith("RankingCheck: HR@1 of 'target: new' is 0.")
    verdict, reason, _ = check(thresholds=floor, min_slice_requests=small + 1)
    assert (verdict.reasons, reason, len(verdict.notes)) == ((), "", 1)


@pytest.mark.long
def test_the_full_catalogue_is_ranked_by_the_weights(check, folder):
    import tensorflow_transform as tft

    transform = tft.TFTransformOutput(str(folder / "graph"))
    model = LcrSer(LcrSerConfig(**SHAPE, **table_sizes(transform, VOCABULARY)))
    random = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    servable = Servable(model, transform)
    tf.saved_model.save(servable, str(folder / "real" / "Format-Serving"), signatures=servable.signatures())
    describe(str(folder / "real" / "Format-Serving"), model.config, VOCABULARY, "code")
    figures = check("real", full_catalogue_requests=20)[0].detail["full_catalogue"]
    ranks = []
    for at in np.linspace(0, 199, 20).astype(int):
        items, label, clicks, searches = parsed()[at]
        asked = example("u2", ITEMS[:clicks], [(["red"], [])] if searches else [], ITEMS[:8])
        scores = dict(zip(ITEMS[:8], servable._score_examples(tf.constant([asked]))["scores"].numpy()[0], strict=True))
        # What the user clicked before is no negative, and no vocabulary holds the last four items.
        others = [scores[item] for item in ITEMS[clicks:8] if item != items[label]]
        ranks.append(
            1 + sum(one >= scores[items[label]] for one in others) if items[label] in scores else 1 + len(others)
        )
    known = sum(parsed()[at][0][parsed()[at][1]] in ITEMS[:8] for at in np.linspace(0, 199, 20).astype(int))
    assert (figures["items"], figures["requests"], figures["known_targets"]) == (8, 20, known)
    assert figures["full"]["MRR"]["value"] == pytest.approx(np.mean(1 / np.array(ranks)), abs=1e-6)
    assert figures["full"]["HR@1"]["value"] == pytest.approx(np.mean(np.array(ranks) == 1), abs=1e-9)
