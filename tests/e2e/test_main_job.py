"""The main job: raw log in, pushed model out, by the literal command."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model import contract
from tests.support.workspace import COMPONENTS, ROOT, lines_by_component


def _glob(workspace, pattern):
    return sorted(str(path) for path in (workspace.run_dir / "artifacts").glob(pattern))


@pytest.fixture(scope="module")
def servable(first_run):
    return tf.saved_model.load(str(first_run.version))


@pytest.fixture(scope="module")
def test_examples(workspace, first_run):
    files = _glob(workspace, "LogExampleGen/examples/*/Split-test/*")
    return list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())


def _texts(example, name):
    return [value.decode() for value in example.features.feature[name].bytes_list.value]


def _integers(example, name):
    return list(example.features.feature[name].int64_list.value)


def _padded(lists, width):
    return [[""] * (width - len(values)) + values for values in lists]


def _as_tensors(serialized):
    """The request in the form of the `rank` signature, built with plain Python from the Example."""
    rows = [tf.train.Example.FromString(one) for one in serialized]
    words, items = [], []
    for row in rows:
        for name, count, target in (
            (contract.SEARCH_WORDS, contract.SEARCH_WORD_COUNTS, words),
            (contract.SEARCH_ITEMS, contract.SEARCH_ITEM_COUNTS, items),
        ):
            values = iter(_texts(row, name))
            target.append([[next(values) for _ in range(n)] for n in _integers(row, count)])
    searches = max(1, *map(len, words))

    def cube(nested):
        width = max([1, *(len(inner) for outer in nested for inner in outer)])
        return tf.constant(
            [
                [[""] * width] * (searches - len(outer)) + [inner + [""] * (width - len(inner)) for inner in outer]
                for outer in nested
            ]
        )

    recs = [_texts(row, contract.REC_ITEMS) for row in rows]
    return {
        contract.USER: tf.constant([_texts(row, contract.USER)[0] for row in rows]),
        contract.REC_ITEMS: tf.constant(_padded(recs, max(1, *map(len, recs)))),
        contract.SEARCH_WORDS: cube(words),
        contract.SEARCH_ITEMS: cube(items),
    }, tf.constant([_texts(row, contract.CANDIDATES) for row in rows])


def test_every_component_reports_one_line_with_its_time(first_run):
    lines = lines_by_component(first_run.stdout)
    assert sorted(lines) == sorted(COMPONENTS)
    assert all(value.endswith(" s") for value in lines.values())


def test_the_console_shows_nothing_else(first_run):
    assert first_run.stderr == ""
    assert len(first_run.stdout.splitlines()) < len(COMPONENTS) + 21
    assert "WARNING" not in first_run.stdout


def test_it_ends_with_metrics_version_page_and_the_next_command(first_run, workspace):
    for metric in ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10"):
        assert metric in first_run.stdout
    assert f"pushed version  {first_run.version}" in first_run.stdout
    assert f"run page        {workspace.run_dir / 'run.html'}" in first_run.stdout
    assert "<title>" in (workspace.run_dir / "run.html").read_text()
    assert "e2e" in (workspace.run_dir / "run.md").read_text().splitlines()[0]
    assert first_run.stdout.splitlines()[-1].endswith("make score")


def test_the_full_log_is_in_the_file_that_was_named(first_run):
    path = first_run.stdout.splitlines()[0].rsplit(" ", 1)[1]
    with open(path) as file:
        assert "Component Transform is running" in file.read()


def test_all_signatures_give_the_same_scores(servable, test_examples):
    serialized = test_examples[:40]
    history, candidates = _as_tensors(serialized)
    of_examples = servable.signatures["serving_default"](tf.constant(serialized))["scores"]
    ranked = servable.signatures["rank"](**history, candidates=candidates)
    state = servable.signatures["encode"](**history)
    scored = servable.signatures["score"](**state, candidates=candidates)
    np.testing.assert_allclose(ranked["scores"], of_examples, atol=1e-5)
    np.testing.assert_allclose(scored["scores"], of_examples, atol=1e-5)
    columns = [_integers(tf.train.Example.FromString(one), contract.LABEL)[0] for one in serialized]
    ranks = servable.signatures["rank_eval"](tf.constant(serialized))["rank"]
    np.testing.assert_array_equal(ranks[:, 0], ranked["ranks"].numpy()[np.arange(len(columns)), columns])


def test_the_servable_was_checked_against_its_weights(workspace, first_run):
    verdicts = [json.loads(Path(path).read_text()) for path in _glob(workspace, "ServableCheck/verdict/*/verdict.json")]
    assert verdicts  # of this run, and of whatever else ran in the workspace before
    for verdict in verdicts:
        assert (verdict["reasons"], verdict["notes"]) == ([], [])
        assert verdict["detail"]["requests"] == 64 + 2
        assert set(verdict["detail"]["distances"]) == {"serving_default", "rank", "encode and score"}
    assert (first_run.version / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0


def test_a_request_needs_no_label(servable, test_examples):
    example = tf.train.Example.FromString(test_examples[0])
    with_label = servable.signatures["serving_default"](tf.constant([test_examples[0]]))["scores"]
    del example.features.feature[contract.LABEL]
    without = servable.signatures["serving_default"](tf.constant([example.SerializeToString()]))["scores"]
    np.testing.assert_array_equal(with_label, without)


def test_unknown_ids_are_all_the_same_to_the_model(servable, test_examples):
    history, candidates = _as_tensors(test_examples[:1])
    rank = servable.signatures["rank"]
    one = {**history, contract.USER: tf.constant(["never seen"])}
    other = {**history, contract.USER: tf.constant(["nor this one"])}
    with_unknown = tf.concat([candidates, [["no such item", "nor this item"]]], 1)
    first, second = (rank(**user, candidates=with_unknown)["scores"].numpy() for user in (one, other))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert first[0, -1] == first[0, -2]


def test_padded_candidates_rank_last_and_change_nothing(servable, test_examples):
    history, candidates = _as_tensors(test_examples[:3])
    rank = servable.signatures["rank"]
    plain = rank(**history, candidates=candidates)
    padded = rank(**history, candidates=tf.concat([candidates, tf.fill([3, 2], "")], 1))
    np.testing.assert_allclose(padded["scores"][:, :-2], plain["scores"], atol=1e-6)
    np.testing.assert_array_equal(padded["ranks"][:, :-2], plain["ranks"])
    assert (padded["ranks"][:, -2:].numpy() > candidates.shape[1]).all()


def test_the_evaluator_agrees_with_ranks_computed_from_served_scores(servable, test_examples, first_run):
    scores = servable.signatures["serving_default"](tf.constant(test_examples))["scores"].numpy()
    ranks = []
    for row, one in zip(scores, test_examples, strict=True):
        [label] = _integers(tf.train.Example.FromString(one), contract.LABEL)
        others = np.delete(row, label)
        ranks.append(1 + int((others >= row[label]).sum()))
    ranks = np.array(ranks)
    reported = first_run.figures["metrics"]["candidate"]
    for k in (1, 5, 10):
        assert reported[f"HR@{k}"] == pytest.approx(np.mean(ranks <= k), abs=1e-9)
    for k in (5, 10):
        assert reported[f"NDCG@{k}"] == pytest.approx(np.mean((ranks <= k) / np.log2(ranks + 1)), abs=1e-9)


def test_popularity_agrees_with_clicks_counted_from_the_raw_examples(test_examples, first_run, workspace):
    files = _glob(workspace, "LogExampleGen/examples/*/Split-train/*")
    clicks = {}
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        for item in _texts(tf.train.Example.FromString(record), contract.REC_ITEMS):
            clicks[item] = clicks.get(item, 0) + 1
    hits = 0
    for one in test_examples:
        example = tf.train.Example.FromString(one)
        counts = [clicks.get(item, 0) for item in _texts(example, contract.CANDIDATES)]
        [label] = _integers(example, contract.LABEL)
        hits += sum(count >= counts[label] for count in counts) <= 10
    reported = first_run.figures["metrics"]["popularity"]
    assert reported["HR@10"] == pytest.approx(hits / len(test_examples), abs=1e-9)


@pytest.mark.long
def test_requests_and_ranks_of_the_raw_split_stand_in_one_order(first_run, workspace):
    from components.evaluation.ranks import rank_requests
    from model.data.requests import read_requests
    from model.evaluation.evaluator import ranking_metrics

    files = _glob(workspace, "LogExampleGen/examples/*/Split-test/*")
    graph = _glob(workspace, "Transform/transform_graph/*")[0]
    ranked = rank_requests({"candidate": str(first_run.version)}, graph, files, batch_size=100)
    requests = ranked.requests
    transformed = read_requests(_glob(workspace, "Transform/transformed_examples/*/Split-test/*"))
    by_user, by_user_transformed = np.argsort(requests.users), np.argsort(transformed.users)
    for name in ("users", "candidates", "label"):
        np.testing.assert_array_equal(getattr(requests, name)[by_user], getattr(transformed, name)[by_user_transformed])
    for name in ("rec_offsets", "search_offsets"):
        np.testing.assert_array_equal(
            np.diff(getattr(requests, name))[by_user], np.diff(getattr(transformed, name))[by_user_transformed]
        )
    raw = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    labels = [_integers(tf.train.Example.FromString(one), contract.LABEL)[0] for one in raw]
    np.testing.assert_array_equal(requests.label, labels)
    reported = first_run.figures["metrics"]["candidate"]
    assert ranking_metrics(ranked.ranks["candidate"], list(reported)) == pytest.approx(reported, abs=1e-6)
    ours = first_run.figures["evaluation"]["models"]["candidate"]["all"]
    assert {name: one["value"] for name, one in ours.items()} == pytest.approx(reported, abs=1e-6)


@pytest.mark.long
def test_a_second_run_takes_everything_from_the_cache_and_pushes_nothing(first_run, workspace):
    pushed = workspace.versions
    result = workspace.command("run", "create", "--pipeline_path", str(ROOT / "tfx_pipeline" / "local_runner.py"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert set(lines_by_component(result.stdout).values()) == {"cached"}
    assert workspace.versions == pushed
    assert "(unchanged)" in result.stdout
    assert "HR@1" in result.stdout


@pytest.mark.long
def test_each_gate_stops_a_push_with_its_reason_on_the_console_and_on_the_page(first_run, workspace):
    pushed = workspace.versions
    result = workspace.command(
        "run",
        "create",
        "--pipeline_path",
        str(ROOT / "tfx_pipeline"),
        LCR_SER_EVALUATION__MIN_NDCG_5="0.99",
        LCR_SER_EVALUATION__THRESHOLDS='{"searches: some": {"HR@1": {"min": 0.98}}}',
        LCR_SER_SERVABLE_CHECK__MAX_MEGABYTES="0.5",
        LCR_SER_DATA_CHECK__DRIFT='{"rec_items": {"infinity_norm": 0}}',
        LCR_SER_DATA_CHECK__SERVING_REQUESTS=_glob(workspace, "LogExampleGen/examples/*/Split-eval/*")[0],
        LCR_SER_DATA_CHECK__SKEW='{"candidates": {"infinity_norm": 0}}',
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads((workspace.run_dir / "run.json").read_text())
    reasons = {gate["gate"]: gate["reasons"] for gate in figures["gates"]}
    assert [len(of_gate) for of_gate in reasons.values()] == [1, 1, 1, 1], reasons
    assert list(reasons) == ["DataCheck", "Evaluator", "RankingCheck", "ServableCheck"]
    assert reasons["DataCheck"][0].startswith("candidates is skewed against serving")
    markdown = (workspace.run_dir / "run.md").read_text()
    page = html.unescape((workspace.run_dir / "run.html").read_text())
    for gate, [reason] in reasons.items():
        assert f"{gate}: {reason}; nothing was pushed" in result.stdout
        assert reason in markdown.replace("\\", "").replace("`", "")
        assert reason in page.replace("<code>", "").replace("</code>", "")
    assert workspace.versions == pushed
    assert (figures["pushed"], figures["blessed"]) == (None, False)


@pytest.mark.long
def test_the_stock_pair_of_commands_works_too(first_run, workspace):
    create = workspace.command(
        "pipeline",
        "create",
        "--engine",
        "local",
        "--pipeline_path",
        str(ROOT / "tfx_pipeline" / "local_runner.py"),
        HOME=str(workspace.folder / "another_home"),
    )
    assert create.returncode == 0, create.stdout + create.stderr
    result = workspace.command(
        "run",
        "create",
        "--engine",
        "local",
        "--pipeline_name",
        workspace.name,
        HOME=str(workspace.folder / "another_home"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert set(lines_by_component(result.stdout).values()) == {"cached"}


def test_the_pushed_model_answers_over_grpc(first_run, workspace):
    from serving.client.request import RankRequest, Search
    from serving.dev_server.score import score_once

    request = json.loads((workspace.run_dir / "request.json").read_text())
    answer = score_once(
        first_run.version.parent,
        RankRequest(
            user=request["user"],
            rec_items=request["rec_items"],
            candidates=request["candidates"],
            searches=[Search(words=s["words"], items=s["items"]) for s in request["searches"]],
        ),
        model_name=workspace.name,
    )
    assert answer.version == int(workspace.versions[-1].name)
    assert {row.item for row in answer.candidates} == set(request["candidates"])
    scores = [row.score for row in answer.candidates]
    assert scores == sorted(scores, reverse=True)
