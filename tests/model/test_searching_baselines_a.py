"""NRHUB, JSR and Query-SeqRec against their equations in plain NumPy, and what each of them promises."""

import csv
import dataclasses
from collections import defaultdict

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.baselines.query_seqrec import clicked_together
from model.config import SupervisedConfig
from model.contract import (
    CANDIDATES,
    FIRST_KNOWN_ID,
    PADDING_ID,
    QUERY,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORDS,
    UNKNOWN_ID,
    USER,
)
from model.evaluation.evaluator import RankingEvaluator
from model.registry import make_ranker
from model.training import supervised
from model.training.carry_over import FRESH, carry_over
from model.training.checkpoints import Checkpoints
from tests.model.test_rankers import batch_of, config_of, layer_norm, plain_block, ranker_of, scores
from tests.support.random_logs import FIRST_TIME, random_logs

CLICK, QUERY_TOKEN, CLICKED = 0, 1, 2


def plain(values):
    return np.asarray(values, np.float64)


def dense(layer, inputs):
    return inputs @ plain(layer.kernel) + plain(layer.bias)


def softmax(logits):
    weights = np.exp(logits - np.max(logits))
    return weights / weights.sum()


def rows_of(batch):
    """Each row of a batch as arrays."""
    arrays = {name: values.numpy() for name, values in batch.items()}
    return [{name: values[row] for name, values in arrays.items()} for row in range(len(arrays[USER]))]


def real(ids):
    return ids[ids != PADDING_ID]


# NRHUB


def attended(layer, records):
    """Sum of records weighted by softmax(v^T tanh(W x + b))."""
    return softmax(np.tanh(dense(layer.hidden, records)) @ plain(layer.vector)) @ records


def plain_nrhub(ranker, row):
    items, words = plain(ranker.items.table), plain(ranker.words.table)
    records = {
        "queries": [words[real(query)].mean(0) for query in row[SEARCH_WORDS] if query.any()],
        "clicked": list(items[real(row[SEARCH_ITEMS].ravel())]),
        "browsed": list(items[real(row[REC_ITEMS])]),
    }
    views = [attended(getattr(ranker, f"over_{view}"), np.array(of)) for view, of in records.items() if of]
    user = plain(ranker.newcomer)
    if views:
        user = attended(ranker.over_views, np.tanh(dense(ranker.of_views, np.array(views))))
    return np.tanh(dense(ranker.of_items, items[row[CANDIDATES]])) @ user


@pytest.mark.parametrize("seed", range(3))
def test_nrhub_is_what_its_paper_says(seed):
    ranker = ranker_of("nrhub", units=7, view_units=5)
    batch = batch_of(ranker, size=10, seed=seed)
    assert not batch[REC_ITEMS][1].numpy().any() and not batch[SEARCH_WORDS][1].numpy().any()
    expected = [plain_nrhub(ranker, row) for row in rows_of(batch)]
    np.testing.assert_allclose(scores(ranker, batch), expected, rtol=1e-4, atol=1e-5)


def test_nrhub_knows_no_order():
    ranker, rng = ranker_of("nrhub"), np.random.default_rng(4)
    batch = batch_of(ranker)
    shuffled = dict(batch)
    for names in ((REC_ITEMS,), (SEARCH_WORDS, SEARCH_ITEMS)):
        order = rng.permutation(batch[names[0]].shape[1])
        for name in names:
            shuffled[name] = tf.gather(batch[name], order, axis=1)
    assert np.any(shuffled[REC_ITEMS] != batch[REC_ITEMS])
    np.testing.assert_allclose(scores(ranker, shuffled), scores(ranker, batch), atol=1e-5)


def test_nrhub_learns_a_vector_for_users_without_any_record():
    ranker = make_ranker(config_of("nrhub"))
    batch = batch_of(ranker, size=2)
    for name in (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS):
        batch[name] *= 0
    ranker.newcomer.assign(np.linspace(-1, 1, ranker.config.units))
    with tf.GradientTape() as tape:
        loss = ranker.losses(ranker.embed(batch), tf.ones([2, 7]), SupervisedConfig())["loss"]
    gradients = tape.gradient(loss, [ranker.newcomer.value, ranker.items.table.value])
    assert np.abs(gradients[0]).max() > 0
    assert np.isfinite(tf.convert_to_tensor(gradients[1])).all()


# JSR


def network(layer, values):
    for number in range(len(layer.units)):
        values = np.maximum(dense(getattr(layer.mlp, f"dense_{number}"), values), 0)
    return dense(layer.mlp.last, values)[:, 0]


def plain_query(ranker, words):
    words = real(words)
    if not len(words):
        return np.zeros(ranker.config.dim)
    return softmax(plain(ranker.word_weights.table)[words, 0]) @ plain(ranker.words.table)[words]


def with_query(batch, ranker):
    """The batch as one of searches: its query is that of the newest search, and of the second row none."""
    query = batch[SEARCH_WORDS][:, -1] * np.array([[row != 1] for row in range(batch[USER].shape[0])])
    return {USER: batch[USER], QUERY: query, CANDIDATES: batch[CANDIDATES]}


def test_jsr_compares_users_and_queries_with_items_as_its_paper_says():
    ranker = ranker_of("jsr", mlp_units=(9, 5))
    batch = batch_of(ranker, size=10)
    items = plain(ranker.items.table)
    expected = [
        network(ranker.of_users, plain(ranker.users.table)[row[USER]] * items[row[CANDIDATES]])
        for row in rows_of(batch)
    ]
    np.testing.assert_allclose(scores(ranker, batch), expected, rtol=1e-4, atol=1e-6)
    searched = with_query(batch, ranker)
    logits = np.array(
        [
            network(ranker.of_queries, plain_query(ranker, row[QUERY]) * items[row[CANDIDATES]])
            for row in rows_of(searched)
        ]
    )
    embedded = ranker.embed(searched)
    np.testing.assert_allclose(ranker.rank(ranker.read(embedded), embedded.candidates), logits, rtol=1e-4, atol=1e-6)
    # Binary cross-entropy, the target in column 0, without the pair that has no weight.
    weights = np.ones(logits.shape)
    weights[3, 2] = 0
    losses = np.log1p(np.exp(np.concatenate([-logits[:, :1], logits[:, 1:]], 1))) * weights
    found = ranker.search_losses(embedded, tf.constant(weights, tf.float32), SupervisedConfig())["loss"]
    np.testing.assert_allclose(found, losses.sum() / weights.sum(), rtol=1e-5)


def test_jsr_sees_the_user_alone():
    ranker = ranker_of("jsr")
    one, other = batch_of(ranker), batch_of(ranker, seed=1)
    assert ranker.inputs == (USER,)
    mixed = {**other, USER: one[USER], CANDIDATES: one[CANDIDATES]}
    np.testing.assert_array_equal(scores(ranker, mixed), scores(ranker, one))


def test_the_words_of_jsr_count_the_same_at_first():
    ranker = make_ranker(config_of("jsr"))
    words = tf.constant([[5, 3, 7, 0]])
    batch = {USER: tf.constant([2]), QUERY: words, CANDIDATES: tf.constant([[2, 3]])}
    np.testing.assert_allclose(
        ranker.embed(batch).query[0], np.mean(ranker.words.table.numpy()[[5, 3, 7]], 0), rtol=1e-5
    )


def test_the_weight_of_a_word_goes_with_the_word_in_a_warm_start():
    earlier, model = ranker_of("jsr", num_words=6), make_ranker(config_of("jsr", num_words=8))
    rows = {name: np.arange(getattr(model.config, f"num_{name}")) for name in ("users", "items")}
    carry_over(earlier, model, {**rows, "words": np.array([0, 1, FRESH, 5, 2, FRESH, FRESH, 3])})
    found, before = (one.word_weights.table.numpy()[:, 0] for one in (model, earlier))
    np.testing.assert_array_equal(found, [before[0], before[1], 0, before[5], before[2], 0, 0, before[3]])


# Query-SeqRec


def plain_tokens(row):
    """Tokens of a row in the order of time, of the same time as they are listed here: (kind, ids)."""
    events = [(row[REC_TIMES][place], 0, place, CLICK, real(row[REC_ITEMS][[place]])) for place in range(6)]
    for place in range(5):
        time, words, items = (row[name][place] for name in (SEARCH_TIMES, SEARCH_WORDS, SEARCH_ITEMS))
        events += [(time, 1, 2 * place, QUERY_TOKEN, real(words)), (time, 1, 2 * place + 1, CLICKED, real(items))]
    return [(kind, ids) for *_, kind, ids in sorted(events, key=lambda event: event[:3]) if len(ids)]


def plain_query_seqrec(ranker, row):
    tokens = plain_tokens(row)
    items = plain(ranker.items.table)
    if not tokens:
        return items[row[CANDIDATES]] @ plain(ranker.newcomer)
    types, words = plain(ranker.types), plain(ranker.words.table)
    states = np.array(
        [
            (words if kind == QUERY_TOKEN else items)[ids].mean(0) + types[int(kind == QUERY_TOKEN)]
            for kind, ids in tokens
        ]
    )
    states += plain(ranker.positions.positions)[-len(tokens) :]
    for block in ranker.encoder.blocks:
        states = plain_block(block, "query", states, ranker.config.num_heads)
    return items[row[CANDIDATES]] @ layer_norm(states[-1], ranker.encoder.norm)


@pytest.mark.parametrize("seed", range(3))
def test_query_seqrec_is_what_its_paper_says(seed):
    ranker = ranker_of("query_seqrec")
    batch = batch_of(ranker, size=10, seed=seed)
    kinds = [kind for row in rows_of(batch) for kind, _ in plain_tokens(row)]
    assert min(kinds.count(kind) for kind in (CLICK, QUERY_TOKEN, CLICKED)) > 5
    expected = [plain_query_seqrec(ranker, row) for row in rows_of(batch)]
    np.testing.assert_allclose(scores(ranker, batch), expected, rtol=1e-4, atol=1e-5)


def test_query_seqrec_reads_the_order_of_times_to_the_millisecond_and_nothing_else_of_them():
    ranker = ranker_of("query_seqrec")
    batch = batch_of(ranker, size=1)
    batch[REC_ITEMS] = tf.constant([[0, 0, 0, 5, 6, 7]])
    batch[SEARCH_ITEMS] *= 0
    batch[SEARCH_WORDS] = tf.constant([[[0] * 4] * 4 + [[3, 4, 0, 0]]])

    def at(*times, searched):
        own = {REC_TIMES: [[0, 0, 0, *times]], SEARCH_TIMES: [[0, 0, 0, 0, searched]]}
        return scores(ranker, {**batch, **{name: tf.constant(value, tf.int64) for name, value in own.items()}})

    t = FIRST_TIME
    between = at(t, t + 1, t + 3, searched=t + 2)
    np.testing.assert_array_equal(at(t, t + 10**6, t + 10**8, searched=t + 10**7), between)
    np.testing.assert_array_equal(at(t, t + 1, t + 3, searched=t + 1), between)  # a click before a search
    last = at(t, t + 1, t + 2, searched=t + 3)
    assert np.abs(last - between).max() > 1e-3
    np.testing.assert_array_equal(at(t, t + 1, t + 3, searched=t + 3), last)


def test_items_that_were_clicked_together():
    timelines, _ = random_logs()
    # Some queries of unknown words, some of none, and a click on an unknown item.
    timelines.search_words[:7] = UNKNOWN_ID
    timelines.search_items[5] = UNKNOWN_ID
    for count in (2, 50):
        found = clicked_together(timelines, 42, 4, count)
        of_query = defaultdict(set)
        for search in range(len(timelines.word_offsets) - 1):
            words, items = (
                values[begins[search] : begins[search + 1]].tolist()
                for values, begins in (
                    (timelines.search_words, timelines.word_offsets),
                    (timelines.search_items, timelines.item_offsets),
                )
            )
            if max(words, default=0) >= FIRST_KNOWN_ID:
                of_query[tuple(words[:4])].update(item for item in items if item >= FIRST_KNOWN_ID)
        shared = np.zeros((42, 42), int)
        for items in of_query.values():
            for one in items:
                for other in items - {one}:
                    shared[one, other] += 1
        for item, row in enumerate(found):
            others = real(row)
            assert len(set(others)) == len(others) and (shared[item, others] > 0).all()
            if count == 50:
                assert set(others) == set(np.flatnonzero(shared[item]))
                assert (np.diff(shared[item, others]) <= 0).all()
            else:
                assert len(others) == min(count, np.count_nonzero(shared[item]))


def test_a_training_step_of_query_seqrec_replaces_a_share_of_what_it_reads():
    keras.utils.set_random_seed(3)
    ranker = ranker_of("query_seqrec", replace_rate=0.3, neighbour_rate=0.5)
    table = np.zeros((42, 8), np.int32)
    table[4:, :3] = [[2, 3, 4]]  # of items from 4 on; 2 and 3 have no neighbour
    ranker.neighbours = tf.constant(table)
    batch = batch_of(ranker, size=3000)
    before = [batch[name].numpy() for name in (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)]
    after = [ids.numpy() for ids in ranker.replaced(*map(tf.constant, before))]
    for old, new in zip(before[::2], after[::2], strict=True):
        np.testing.assert_array_equal(new == PADDING_ID, old == PADDING_ID)
    np.testing.assert_array_equal(after[1].any(2), before[1].any(2))
    for old, new in ((before[0], after[0]), (before[2], after[2])):
        assert (new[old < FIRST_KNOWN_ID] == old[old < FIRST_KNOWN_ID]).all()
        # Any item is one of 40, the same one among them; a neighbour is one of three.
        share = np.mean(new[old > 4] != old[old > 4])
        np.testing.assert_allclose(share, 0.3 * (0.5 + 0.5 * 39 / 40), atol=0.02)
        near = np.isin(new[old > 4], [2, 3, 4])
        np.testing.assert_allclose(near.mean(), 0.3 * (0.5 + 0.5 * 3 / 40), atol=0.02)
        alone = new[(old == 2) | (old == 3)]
        np.testing.assert_allclose(np.mean(np.isin(alone, [4])), 0.3 / 40, atol=0.02)
    changed = (after[1] != before[1]).any(2)[before[1].any(2)]
    known = {tuple(query) for query in before[1].reshape(-1, before[1].shape[2])}
    assert {tuple(query) for query in after[1].reshape(-1, before[1].shape[2])} <= known
    assert 0.25 < changed.mean() < 0.31  # some replace a query by an equal one


def test_query_seqrec_replaces_nothing_of_a_request():
    ranker = ranker_of("query_seqrec", replace_rate=1.0)
    batch = batch_of(ranker)
    np.testing.assert_array_equal(scores(ranker, batch), scores(ranker, batch))
    twice = [ranker.embed(batch).rec for _ in range(2)]
    assert np.any(twice[0] != twice[1])
    nobody = {name: values * (name in (USER, CANDIDATES)) for name, values in batch.items()}
    assert not np.any(ranker.embed(nobody).rec_mask)


# Searches as targets, and training

SETTINGS = SupervisedConfig(batch_size=64, eval_batch_size=64, max_epochs=8, learning_rate=0.01, patience=8)


def directories(path):
    return {"checkpoint_dir": str(path / "checkpoints"), "log_dir": str(path / "logs")}


def weights_of(model):
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.mark.slow
def test_searches_are_learned_beside_the_clicks(tmp_path):
    settings = dataclasses.replace(SETTINGS, unknown_rate=0.0, l2_weight=0.0)
    supervised.train(config_of("jsr", search_weight=0.5), settings, *random_logs(), **directories(tmp_path))
    with open(tmp_path / "logs" / "supervised.csv") as file:
        rows = list(csv.DictReader(file))
    losses = [[float(row[name]) for name in ("loss", "rec_loss", "search_loss")] for row in rows]
    for loss, rec_loss, search_loss in losses:
        assert loss == pytest.approx(rec_loss + 0.5 * search_loss, rel=1e-5)
    assert losses[-1][2] < 0.75 * losses[0][2]


def test_no_weight_of_searches_is_no_searches(tmp_path, eager):
    """To the bit: with weight 0 the searches of the log are not looked at, and draw nothing."""
    timelines, requests = random_logs()
    without = dataclasses.replace(timelines, search_is_target=np.zeros_like(timelines.search_is_target))
    settings = dataclasses.replace(SETTINGS, max_epochs=1)
    trained = [
        weights_of(supervised.train(config_of("jsr", search_weight=w), settings, log, requests, **directories(path)))
        for w, log, path in ((0.0, timelines, tmp_path / "a"), (0.5, without, tmp_path / "b"))
    ]
    for one, other in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, other)
    columns = (tmp_path / "a" / "logs" / "supervised.csv").read_text().splitlines()[0]
    assert "search_loss" not in columns
    searched = supervised.train(
        config_of("jsr", search_weight=0.5), settings, timelines, requests, **directories(tmp_path / "c")
    )
    assert any(np.any(one != other) for one, other in zip(weights_of(searched), trained[0], strict=True))


def test_negatives_of_a_search_avoid_what_its_user_clicked():
    timelines, _ = random_logs()
    model = make_ranker(config_of("jsr"))
    settings = dataclasses.replace(SETTINGS, unknown_rate=0.0, num_negatives=6)
    positions = timelines.search_targets
    batch, weights = supervised.search_batches(model, settings, timelines)(
        tf.constant(3, tf.int64), tf.constant(positions)
    )
    assert set(batch) == {USER, QUERY, CANDIDATES}
    found = 0
    for row, position in enumerate(positions):
        search = np.searchsorted(timelines.item_offsets, position, side="right") - 1
        user = np.searchsorted(timelines.search_offsets, search, side="right") - 1
        words = timelines.search_words[timelines.word_offsets[search] : timelines.word_offsets[search + 1]]
        clicked = set(timelines.rec_items[timelines.rec_offsets[user] : timelines.rec_offsets[user + 1]])
        begin, end = timelines.search_item_offsets[user], timelines.search_item_offsets[user + 1]
        clicked |= set(timelines.search_items[begin:end])
        candidates = batch[CANDIDATES][row].numpy()
        assert batch[USER][row] == timelines.users[user]
        assert real(batch[QUERY][row].numpy()).tolist() == words[:4].tolist()
        assert candidates[0] == timelines.search_items[position]
        assert not clicked & set(candidates[1:])
        assert weights[row].numpy().tolist() == (candidates != PADDING_ID).tolist()
        found += np.count_nonzero(candidates[1:])
    assert found == 6 * len(positions)


class CutOff(Exception):
    pass


@pytest.mark.long
@pytest.mark.parametrize("kind", ["jsr", "query_seqrec"])
def test_a_training_that_was_cut_off_ends_as_one_that_was_not(kind, tmp_path, eager, monkeypatch):
    changes = {"replace_rate": 0.5, "dropout": 0.2} if kind == "query_seqrec" else {"dropout": 0.2}
    config, logs = config_of(kind, **changes), random_logs(users=24)
    settings = dataclasses.replace(SETTINGS, max_epochs=3, checkpoint_every=2, evaluations_per_epoch=1)
    whole = weights_of(supervised.train(config, settings, *logs, **directories(tmp_path / "whole")))
    saved, steps = Checkpoints.save_latest, []

    def save_and_stop(self, step):
        saved(self, step)
        steps.append(step)
        if len(steps) == 2:
            raise CutOff

    monkeypatch.setattr(Checkpoints, "save_latest", save_and_stop)
    with pytest.raises(CutOff):
        supervised.train(config, settings, *logs, **directories(tmp_path / "cut"))
    resumed = weights_of(supervised.train(config, settings, *logs, **directories(tmp_path / "cut")))
    assert len(steps) > 3
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_query_seqrec_finds_its_first_stage_by_its_own_inner_product():
    ranker = ranker_of("query_seqrec", retrieval=True)
    batch = batch_of(ranker)
    vectors = tf.gather(ranker.item_vectors.value, batch[CANDIDATES])
    expected = tf.linalg.matvec(vectors, ranker.query(ranker.encode(batch)))
    np.testing.assert_allclose(scores(ranker, batch), expected, atol=1e-5)


def test_an_evaluation_of_query_seqrec_sees_the_times_of_requests():
    timelines, requests = random_logs()
    ranker = ranker_of("query_seqrec")
    moved = dataclasses.replace(requests, search_times=requests.search_times + 10**9)
    ranks = [RankingEvaluator(ranker, one, 16).ranks() for one in (requests, moved)]
    assert np.any(ranks[0] != ranks[1])
