"""ServableCheck: a good SavedModel passes, and each fault is a reason that names it."""

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.servable_check import ask as asking
from components.servable_check import child
from components.servable_check.check import check_servable
from components.servable_check.compare import compare_answers
from components.servable_check.operations import WARM_UP_FILE, forbidden_operations
from components.servable_check.requests import golden_requests, numbers, rank_inputs
from components.servable_check.settings import ServableCheckSettings
from model.contract import MAX_MERGED_ROWS, TIME_FEATURES
from tests.support.checkable_servable import example, expected_scores, export

RECORDS = [
    example("u1", ["a", "b"], [(["red", "shoe"], ["c"])], ["a", "c", "d"], label=1, stored=True),
    example("u2", [], [], ["d", "a"], label=0, stored=True),
    example("u3", ["x"], [([], ["a"]), (["red"], [])], ["a", "a"], label=1, stored=True),
]
# By hand: clicks, words and clicked items of searches, by request.
GOLDEN = [
    expected_scores("u1", 2, 2, 1, ["a", "c", "d"]),
    expected_scores("u2", 0, 0, 0, ["d", "a"]),
    expected_scores("u3", 1, 1, 1, ["a", "a"]),
]
POSITIVES = np.array([1, 0, 1])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return export(tmp_path_factory.mktemp("good") / "model")


@pytest.fixture
def in_this_process(monkeypatch):
    """Starting a process takes seconds; what it does is the same here."""
    monkeypatch.setattr(asking, "_run", lambda directory, folder, seconds: child.ask(directory, folder))


@pytest.fixture
def copied(good, tmp_path):
    return Path(shutil.copytree(good, tmp_path / "copied"))


def check(directory, golden=GOLDEN, **settings):
    return check_servable(str(directory), RECORDS, lambda: golden, ServableCheckSettings(**settings))


@pytest.mark.slow
def test_a_good_servable_passes_in_a_process_of_its_own(good):
    verdict = check(good)
    assert verdict.reasons == ()
    assert set(verdict.detail["distances"]) == {"serving_default", "rank", "encode and score"}
    assert max(verdict.detail["distances"].values()) < 1e-6
    assert verdict.detail["load_seconds"] > 0
    sizes = [path.stat().st_size for path in Path(good).rglob("*") if path.is_file()]
    assert verdict.detail["megabytes"] == pytest.approx(sum(sizes) / 1e6)
    assert "no warm-up requests" in verdict.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        (
            "nan",
            [
                "serving_default gives scores that are not finite to 3 of 3 requests",
                "rank gives scores that are not finite to 3 of 3 requests",
                "encode and score gives scores that are not finite to 3 of 3 requests",
                "encode gives states that are not finite",
                # Of NaN every candidate ranks last, behind the padding too.
                "rank_eval gives wrong ranks to 3 of 3 requests",
                "recommend gives its items other scores than rank does: up to inf apart",
                "explain explains other scores than rank gives: up to inf apart",
            ],
        ),
        (
            "rank_scores",
            [
                "rank gives wrong scores to 3 of 3 requests: up to ",
                "recommend gives its items other scores than rank does: up to ",
            ],
        ),
        ("rank_ranks", ["rank gives ranks that do not fit its scores to 3 of 3 requests"]),
        ("rank_eval", ["rank_eval gives wrong ranks to 3 of 3 requests"]),
        ("state", ["encode gives states that are not finite"]),
        ("recommend_scores", ["recommend gives its items other scores than rank does: up to "]),
        # The third one clicked what is not in the catalogue.
        ("recommend_clicked", ["recommend gives 1 of 3 requests what was clicked before"]),
        ("recommend_nothing", ["recommend finds no item for any request"]),
        ("explain_score", ["explain explains other scores than rank gives: up to "]),
        # The second one has no history.
        ("explain_weights", ["explain gives weights that do not sum to 1 to 2 of 3 requests"]),
        ("explain_nothing", ["explain gives weights that do not sum to 1 to 2 of 3 requests"]),
        ("explain_nan", ["explain gives weights that do not sum to 1 to 2 of 3 requests"]),
    ],
)
def test_wrong_answers_are_reasons(in_this_process, tmp_path, fault, reasons):
    found = check(export(tmp_path / "model", fault)).reasons
    assert [reason[: len(start)] for reason, start in zip(found, reasons, strict=True)] == reasons


@pytest.mark.slow
def test_a_model_that_neither_recommends_nor_explains_has_no_fault(in_this_process, tmp_path):
    assert check(export(tmp_path / "model", without=["recommend", "explain"])).reasons == ()


@pytest.mark.parametrize(
    "odd", [{"again": np.nan}, {"again": np.inf}, {"scores": np.nan}, {"scores": np.nan, "again": np.nan}]
)
def test_recommended_scores_that_are_no_numbers_are_never_near_those_of_rank(odd):
    scores = np.array([[2.0, 1.0]], np.float32)
    outputs = {"scores": scores, "again": scores, "clicked": np.array([False])}
    answered = {**outputs, **{name: np.array([[2.0, value]], np.float32) for name, value in odd.items()}}
    found, _ = compare_answers(
        {f"recommend and rank/{name}": values for name, values in answered.items()},
        [np.array([2.0, 1.0])],
        np.array([0]),
        1e-5,
    )
    assert found == ["recommend gives its items other scores than rank does: up to inf apart"]


@pytest.mark.parametrize(("fault", "why"), [("python", "PyFunc in __inference__default"), ("file", "WriteFile in ")])
def test_operations_that_must_not_be_are_reasons_and_the_model_is_not_loaded(tmp_path, monkeypatch, fault, why):
    monkeypatch.setattr(asking, "_run", lambda *args: pytest.fail("the model was loaded"))
    directory = export(tmp_path / "model", fault)
    verdict = check(directory)
    assert [reason for reason in verdict.reasons if why in reason]
    assert all("runs Python" in reason or "reads or writes files" in reason for reason in verdict.reasons)
    assert any("not loaded" in note for note in verdict.notes)


def test_an_operation_of_another_library_is_a_reason(copied):
    change_graph(copied, lambda graph: graph.graph_def.node.add(name="x", op="FancyText>Tokenize"))
    assert forbidden_operations(str(copied)) == [
        "the operation FancyText>Tokenize in the graph is not one of TensorFlow's own"
    ]


def test_saving_is_fine_in_the_saver_alone(good, copied):
    assert forbidden_operations(good) == []

    def let_a_signature_call_the_saver(graph):
        node = next(
            node for node in graph.graph_def.node if node.name == graph.saver_def.save_tensor_name.split(":")[0]
        )
        graph.graph_def.library.function[0].node_def.add(name="x", op="PartitionedCall").attr["f"].CopyFrom(
            node.attr["f"]
        )
        graph.graph_def.node.add(name="y", op=graph.graph_def.library.function[0].signature.name)

    change_graph(copied, let_a_signature_call_the_saver)
    assert any(reason.startswith("the operation SaveV2 in ") for reason in forbidden_operations(str(copied)))


def test_a_missing_signature_is_a_reason(in_this_process, tmp_path):
    verdict = check(export(tmp_path / "model", without=["rank", "score"]))
    assert verdict.reasons == ("the signature rank is missing", "the signature score is missing")


def test_what_is_too_large_and_too_slow_says_both(in_this_process, good):
    reasons = check(good, max_megabytes=1e-3, max_load_seconds=1e-6).reasons
    assert len(reasons) == 2
    assert reasons[0].endswith("MB > 0.001")
    assert reasons[1].startswith("loading took ")


def test_truncated_variables_are_a_reason(in_this_process, copied):
    data = next((copied / "variables").glob("*.data-*"))
    os.truncate(data, data.stat().st_size // 2)
    (reason,) = check(copied).reasons
    assert reason.startswith("the SavedModel cannot be loaded: ")


def test_a_file_that_is_no_saved_model_is_a_reason(copied):
    (copied / "saved_model.pb").write_bytes(b"\xff\xff")
    (reason,) = check(copied).reasons
    assert reason.startswith("saved_model.pb cannot be read: ")
    (copied / "saved_model.pb").unlink()
    assert check(copied).reasons[0].startswith("saved_model.pb cannot be read: ")


def test_a_process_that_dies_is_a_reason(good, monkeypatch, tmp_path):
    deadly = tmp_path / "python"
    deadly.write_text("#!/bin/sh\nkill -9 $$\n")
    deadly.chmod(deadly.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(asking.sys, "executable", str(deadly))
    assert check(good).reasons == ("the process that asks it failed: it died of signal 9",)
    deadly.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    assert check(good).reasons == ("the process that asks it failed: it ended with status 3: no memory",)


def test_a_process_that_hangs_is_ended(good):
    assert check(good, max_child_seconds=0.1).reasons == ("the process that asks it failed: it was ended after 0.1 s",)


def test_weights_that_do_not_fit_are_a_reason(in_this_process, good):
    def golden():
        raise ValueError("another model")

    verdict = check_servable(good, RECORDS, golden, ServableCheckSettings())
    assert verdict.reasons == ("the weights cannot be read: another model",)


@pytest.mark.long
def test_too_many_warm_up_requests_are_a_reason(in_this_process, copied):
    (copied / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(copied / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for _ in range(1001):
            writer.write(b"")
    verdict = check(copied)
    assert verdict.reasons[0] == "there are 1001 warm-up requests > 1000"
    assert verdict.reasons[1].startswith("replaying the warm-up requests failed: ")  # they ask nothing
    assert verdict.notes == ()


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        ([1, MAX_MERGED_ROWS], []),
        ([MAX_MERGED_ROWS + 1, 1], [f"a warm-up request has {MAX_MERGED_ROWS + 1} rows > {MAX_MERGED_ROWS}"]),
    ],
)
def test_a_warm_up_request_of_more_rows_than_a_server_merges_is_a_reason(in_this_process, copied, rows, reasons):
    """Such a server refuses it, and with it the version."""
    warm_up(copied, [tf.make_tensor_proto([RECORDS[1]] * count) for count in rows])
    assert list(check(copied).reasons) == reasons


def test_a_warm_up_request_without_rows_is_a_reason(in_this_process, copied):
    warm_up(copied, [tf.make_tensor_proto(RECORDS[1])])
    (reason,) = check(copied).reasons
    assert reason.startswith("replaying the warm-up requests failed: ")


def warm_up(directory, examples):
    """Write warm-up requests of `serving_default`, with these tensors."""
    (directory / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(directory / WARM_UP_FILE)) as writer:
        for tensor in examples:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.inputs["examples"].CopyFrom(tensor)
            writer.write(log.SerializeToString())


def test_a_golden_score_that_is_not_finite_is_the_models_fault():
    assert compare_answers({}, [np.array([np.nan, 1])], np.array([0]), 1e-5) == (
        ["the model's weights give scores that are not finite"],
        {},
    )


@pytest.mark.parametrize(("rank", "right"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_rank_may_be_any_within_the_tolerance(rank, right):
    # One candidate is surely better, one within the tolerance, one surely worse.
    golden = [np.array([0.5, 0.9, 0.5 + 1e-6, 0.1])]
    reasons, _ = compare_answers({"rank_eval/rank": np.array([[rank]])}, golden, np.array([0]), 1e-5)
    assert (reasons == []) == right


def test_plain_tensors_are_padded_as_the_signature_wants_them():
    inputs = rank_inputs(RECORDS)
    assert inputs["user"].tolist() == [b"u1", b"u2", b"u3"]
    assert inputs["rec_items"].tolist() == [[b"a", b"b"], [b"", b""], [b"", b"x"]]
    assert inputs["search_words"].tolist() == [
        [[b"", b""], [b"red", b"shoe"]],
        [[b"", b""], [b"", b""]],
        [[b"", b""], [b"red", b""]],
    ]
    assert inputs["search_items"].tolist() == [[[b""], [b"c"]], [[b""], [b""]], [[b"a"], [b""]]]
    assert inputs["candidates"].tolist() == [[b"a", b"c", b"d"], [b"d", b"a", b""], [b"a", b"a", b""]]


def test_golden_requests_end_with_unknown_ids_and_without_a_history(tmp_path):
    path = str(tmp_path / "requests.gz")
    unfit = [example(searches=[([], [])]), example(candidates=["a", ""])]
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for record in [*unfit, *RECORDS]:
            writer.write(record)
    found = golden_requests([path], 2)
    assert found[:2] == RECORDS[:2]
    first, inputs = rank_inputs(RECORDS[:1]), rank_inputs(found[2:])
    for name, values in first.items():
        unknown = np.ravel(inputs[name][0])
        assert (unknown != b"").sum() == (values != b"").sum()
        assert not set(unknown[unknown != b""]) & set(values.ravel())
    assert inputs["user"][1] == b"u1"
    assert inputs["candidates"][1].tolist() == [b"a", b"c", b"d"]
    assert not any((inputs[name][1] != b"").any() for name in ("rec_items", "search_words", "search_items"))
    assert [[len(numbers(tf.train.Example.FromString(one), name)) for name in TIME_FEATURES] for one in found] == [
        *([2, 1], [0, 0]),  # as in the split
        [2, 1],
        [0, 0],
    ]


def test_a_split_without_a_request_is_refused(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "requests.gz"), "GZIP"):
        pass
    with pytest.raises(ValueError, match="should hold a request to try the model with"):
        golden_requests([str(tmp_path / "requests.gz")], 2)


def test_limits_are_above_nothing():
    with pytest.raises(ValueError, match=r"`servable_check.tolerance` should be above 0. Received: 0."):
        ServableCheckSettings(tolerance=0)


def change_graph(directory, change):
    from components.servable_check.operations import read_saved_model

    saved = read_saved_model(str(directory))
    change(saved.meta_graphs[0])
    (directory / "saved_model.pb").write_bytes(saved.SerializeToString())
