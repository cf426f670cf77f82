"""What every kind of model must be, and the properties of each small one."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.baselines.popularity import Popularity
from model.baselines.sasrec import EPSILON
from model.config import GrpoConfig, SupervisedConfig
from model.contract import (
    CANDIDATES,
    INPUTS,
    PADDING_ID,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_WORDS,
    UNKNOWN_ID,
    USER,
)
from model.evaluation.evaluator import RankingEvaluator, evaluate
from model.evaluation.full_catalogue import FullCatalogue
from model.registry import KINDS, config_class, make_config, make_ranker, source_module
from model.training import reinforcement, supervised
from model.training.optimizers import SplitAdam, make_optimizer
from tests.support.kinds import some
from tests.support.random_logs import random_batch, random_logs, randomise, small_config

OF_ALL = ("num_users", "num_items", "num_words", "dim", "rec_length", "search_length", "words_per_search",
          "items_per_search")  # fmt: skip
TRAINED = [kind for kind in KINDS if kind not in ("popularity", "item_neighbours")]
# Without what is drawn at random, as it is another one in every call, and without contrasts, whose negatives are the
# rows of one replica: either keeps a loss from 0, and from being the sum of its parts.
ROW_BY_ROW = {
    "cl4srec": {"contrast_weight": 0.0},
    "bert4rec": {"last_rate": 1.0},
    "rearec_prl": {"contrast_weight": 0.0},
    "lares": {"trajectory_weight": 0.0, "step_weight": 0.0, "start_scale": 0.0, "drawn_steps": False},
    "sesrec": {"alignment_weight": 0.0},
    "unisar": {"alignment_weight": 0.0, "history_weight": 0.0},
}
# Shape and settings of kinds that 12 epochs at a rate of .02 do not suit. ReaRec: eight numbers a state and 500 clicks
# are learned by heart where logits are divided by .07. BERT4Rec: half of its steps ask for clicks in the middle of a
# history, which no request does.
LEARNING = {
    "rearec_erl": ({"temperature": 1.0}, {"learning_rate": 0.01}),
    "rearec_prl": ({"temperature": 1.0}, {"learning_rate": 0.01}),
    "bert4rec": ({"num_blocks": 1}, {"max_epochs": 30, "learning_rate": 0.005}),
}


# Kinds whose losses draw: masks, augmentations, noise. XLA draws other numbers from the same seeds.
DRAWING = ("bert4rec", "cl4srec", "rearec_prl")


def config_of(kind, **changes):
    shared = {name: getattr(small_config(), name) for name in OF_ALL}
    names = [field.name for field in dataclasses.fields(config_class(kind))]
    rates = {name: 0.0 for name in names if name.endswith("dropout") or name == "replace_rate"}
    return make_config({**shared, **rates, "kind": kind, **changes})


def ranker_of(kind, **changes):
    ranker = randomise(make_ranker(config_of(kind, **changes)))
    ranker.fit_counts(random_logs()[0])
    return ranker


def batch_of(ranker, **sizes):
    return {name: tf.constant(values) for name, values in random_batch(ranker.config, **sizes).items()}


def scores(ranker, batch):
    return ranker.score(ranker.encode(batch), ranker.prepare(batch[CANDIDATES])).numpy()


@pytest.mark.parametrize("kind", some(KINDS))
class TestEveryKind:
    def test_its_config_survives_as_plain_values(self, kind):
        config = config_of(kind)
        assert make_config(dataclasses.asdict(config)) == config
        assert type(make_ranker(config)).__module__ == source_module(kind)

    def test_a_batch_scores_as_its_rows(self, kind):
        ranker = ranker_of(kind)
        batch = batch_of(ranker)
        rows = [scores(ranker, {name: values[row : row + 1] for name, values in batch.items()}) for row in range(5)]
        np.testing.assert_allclose(scores(ranker, batch), np.concatenate(rows), rtol=1e-5, atol=1e-5)

    def test_candidates_that_all_requests_share_are_prepared_once(self, kind):
        ranker = ranker_of(kind)
        batch = batch_of(ranker)
        shared = batch[CANDIDATES][:1]
        once = ranker.score(ranker.encode(batch), ranker.prepare(shared))
        np.testing.assert_allclose(
            once, scores(ranker, {**batch, CANDIDATES: tf.repeat(shared, 5, 0)}), rtol=1e-5, atol=1e-5
        )

    def test_it_reads_its_inputs_alone(self, kind):
        ranker = ranker_of(kind)
        batch = batch_of(ranker)
        assert set(ranker.inputs) <= set(INPUTS)
        read = {name: batch[name] for name in (*ranker.inputs, CANDIDATES)}
        np.testing.assert_array_equal(scores(ranker, read), scores(ranker, batch))

    def test_more_padding_changes_nothing(self, kind):
        ranker = ranker_of(kind)
        batch = random_batch(ranker.config)
        shorter = {**batch, REC_ITEMS: batch[REC_ITEMS] * 0}
        shorter[REC_ITEMS][:, -2:] = batch[REC_ITEMS][:, -2:]
        cut = {**shorter, REC_ITEMS: shorter[REC_ITEMS][:, -2:], REC_TIMES: shorter[REC_TIMES][:, -2:]}
        for one in (shorter, cut):
            one[SEARCH_WORDS], one[SEARCH_ITEMS] = (batch[name] for name in (SEARCH_WORDS, SEARCH_ITEMS))
        found = [scores(ranker, {name: tf.constant(values) for name, values in one.items()}) for one in (shorter, cut)]
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-5)

    def test_nothing_to_look_back_on_gives_finite_scores(self, kind):
        ranker = ranker_of(kind)
        batch = {name: values * (name in (USER, CANDIDATES)) for name, values in batch_of(ranker).items()}
        assert np.isfinite(scores(ranker, batch)).all()

    def test_unknown_candidates_tie_to_the_bit(self, kind):
        ranker = ranker_of(kind)
        batch = batch_of(ranker, candidates=33)
        unknown = np.arange(33) % 3 == 0
        batch[CANDIDATES] = tf.where(unknown, UNKNOWN_ID, batch[CANDIDATES])
        of_unknown = scores(ranker, batch)[:, unknown]
        assert (of_unknown == of_unknown[:, :1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", some(KINDS))
def test_every_way_of_ranking_gives_the_same_ranks(kind):
    # The evaluator prepares items once a block, the full catalogue once for all requests.
    timelines, requests = random_logs()
    ranker = ranker_of(kind)
    catalogue = np.unique(timelines.rec_items)
    right = requests.candidates[np.arange(len(requests)), requests.label]
    among_all = dataclasses.replace(
        requests,
        candidates=np.tile(catalogue, (len(requests), 1)).astype(np.int32),
        label=np.searchsorted(catalogue, right).astype(np.int32),
    )
    full = FullCatalogue(ranker, requests, timelines, avoid="none", block_size=8)
    np.testing.assert_array_equal(full.ranks(), RankingEvaluator(ranker, among_all, 16).ranks())


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", some([kind for kind in KINDS if kind != "lcr_ser"], always=("popularity",))
)  # which test_training.py is about
def test_it_goes_through_both_stages(kind, tmp_path):
    logs = random_logs()
    folders = {"checkpoint_dir": str(tmp_path / "c"), "log_dir": str(tmp_path / "l")}
    shape, changes = LEARNING.get(kind, ({}, {}))
    settings = SupervisedConfig(
        **{"batch_size": 64, "max_epochs": 12, "learning_rate": 0.02, "patience": 12, **changes}
    )
    trained = supervised.train(config_of(kind, **shape), settings, *logs, **folders)
    before = evaluate(trained, logs[1], 32)
    folders["checkpoint_dir"] = str(tmp_path / "d")
    grpo = GrpoConfig(num_trajectories=2, num_negatives=5, batch_size=32, max_steps=1, eval_every=1)
    after = evaluate(reinforcement.train(trained, grpo, *logs, **folders), logs[1], 32)
    assert after["NDCG@5"] >= before["NDCG@5"]
    if kind in TRAINED:
        assert before["HR@5"] > 0.6  # 0.25 by chance: the user's cluster is to be found
    else:
        assert after == before


@pytest.mark.parametrize("kind", some(TRAINED, always=("sasrec",)))
def test_it_overfits_a_few_rows(kind):
    keras.utils.set_random_seed(1)
    shape, _ = LEARNING.get(kind, ({}, {}))
    ranker = make_ranker(config_of(kind, **{**shape, **ROW_BY_ROW.get(kind, {})}))
    batch = batch_of(ranker, size=32, candidates=5)
    # Rows with equal histories, or of one user where nothing else is read, cannot have different answers, and no target
    # can be told from itself.
    batch[USER] = 2 + tf.range(32)
    items = np.arange(2, ranker.config.num_items)
    batch[CANDIDATES] = tf.constant([np.random.default_rng(row).permutation(items)[:5] for row in range(32)], tf.int32)
    batch[REC_ITEMS] = tf.concat([batch[REC_ITEMS][:, :-1], 2 + tf.range(32)[:, None]], 1)
    rate = 0.01 if kind.startswith("rearec") else 0.02  # whose logits keep growing
    optimizer = SplitAdam([layer.table for layer in ranker.tables], ranker.dense_variables, rate)
    settings = SupervisedConfig(tcl_weight=0.0)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logs = ranker.losses(ranker.embed(batch), tf.ones([32, 5]), settings)
        optimizer.apply(tape.gradient(logs["loss"], optimizer.sources))
        return logs["rec_loss"]

    first = float(step())
    lowest = min(float(step()) for _ in range(200))
    assert lowest < 0.05 < first


@pytest.mark.parametrize("kind", TRAINED)
def test_losses_are_split_over_replicas(kind):
    """Parts of a batch, each with its share, add up to the whole; L2 is the loop's."""
    ranker = ranker_of(kind, **ROW_BY_ROW.get(kind, {}))
    batch, weights = batch_of(ranker, size=4), tf.constant(np.random.default_rng(1).integers(0, 2, (4, 7)), tf.float32)
    weights = tf.tensor_scatter_nd_update(weights, [[row, 0] for row in range(4)], tf.ones(4))
    whole = ranker.losses(ranker.embed(batch), weights, SupervisedConfig())
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        of_part = {name: values[rows] for name, values in batch.items()}
        share = (
            type(ranker)
            .losses.__defaults__[0]
            ._replace(pairs=tf.reduce_sum(weights[rows]) / tf.reduce_sum(weights), rows=0.5)
        )
        parts.append(ranker.losses(ranker.embed(of_part), weights[rows], SupervisedConfig(), share))
    for name, value in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-5)


def test_a_kind_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=f"`kind` should be one of {', '.join(KINDS)}. Received: 'bert'."):
        make_config({"kind": "bert"})


def test_popularity_counts_the_clicks_of_known_items():
    timelines, _ = random_logs()
    timelines.rec_items[:3] = UNKNOWN_ID
    ranker = Popularity(config_of("popularity"))
    ranker.fit_counts(timelines)
    items = tf.constant([[PADDING_ID, UNKNOWN_ID, 2, 7, 30]])
    clicks = timelines.rec_items.tolist()
    expected = [0, 0, clicks.count(2), clicks.count(7), clicks.count(30)]
    assert ranker.score(ranker.encode({USER: tf.constant([5])}), ranker.prepare(items)).numpy().tolist() == [expected]
    assert ranker.trainable_variables == []


def layer_norm(x, layer):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    return normal * np.asarray(layer.gamma, np.float64) + np.asarray(layer.beta, np.float64)


def plain_block(block, norm, states, heads):
    """A causal block in float64: one sequence without padding, `[L, d]`."""

    def kernels(layer):
        return np.asarray(layer.kernel, np.float64), np.asarray(layer.bias, np.float64)

    def attend(queries, values):
        attention, mixed = block.attention, np.zeros_like(queries)
        (of_q, q_bias), (of_k, k_bias), (of_v, v_bias), (of_out, out_bias) = (
            kernels(getattr(attention, f"_{name}_dense")) for name in ("query", "key", "value", "output")
        )
        for head in range(heads):
            q, k, v = (
                x @ kernel[:, head] + bias[head]
                for x, kernel, bias in ((queries, of_q, q_bias), (values, of_k, k_bias), (values, of_v, v_bias))
            )
            for place in range(len(queries)):
                logits = k[: place + 1] @ q[place] / np.sqrt(q.shape[1])
                weights = np.exp(logits - logits.max())
                mixed[place] += weights @ v[: place + 1] / weights.sum() @ of_out[head]
        return mixed + out_bias

    def feed_forward(x):
        (first, first_bias), (second, second_bias) = kernels(block.hidden), kernels(block.out)
        return np.maximum(x @ first + first_bias, 0) @ second + second_bias

    if norm == "post":
        states = layer_norm(states + attend(states, states), block.attention_norm)
        return layer_norm(states + feed_forward(states), block.feed_forward_norm)
    normal = layer_norm(states, block.attention_norm)
    if norm == "pre":
        states = states + attend(normal, normal)
        return states + feed_forward(layer_norm(states, block.feed_forward_norm))
    normal = layer_norm(normal + attend(normal, states), block.feed_forward_norm)
    return normal + feed_forward(normal)


def plain_sasrec(ranker, clicks):
    """The last state by the equations of the paper, float64: one user's clicks without padding."""
    config = ranker.config
    positions = np.asarray(ranker.positions.positions, np.float64)[-len(clicks) :]
    states = np.asarray(ranker.items.table, np.float64)[clicks] * np.sqrt(config.dim) + positions
    for block in ranker.encoder.blocks:
        states = plain_block(block, config.norm, states, config.num_heads)
    return states[-1] if config.norm == "post" else layer_norm(states[-1], ranker.encoder.norm)


@pytest.mark.parametrize("norm", ["query", "pre", "post"])
@pytest.mark.parametrize("heads", [1, 2])
def test_sasrec_is_what_its_paper_says(heads, norm):
    ranker = ranker_of("sasrec", num_heads=heads, norm=norm)
    items = np.asarray(ranker.items.table, np.float64)
    for clicks in ([7], [3, 30, 3, 12], [5, 6, 7, 8, 9, 10]):
        padded = np.pad(clicks, (ranker.config.rec_length - len(clicks), 0))
        batch = {REC_ITEMS: tf.constant(padded[None], tf.int32), CANDIDATES: tf.constant([[2, 9, 41]])}
        expected = items[[2, 9, 41]] @ plain_sasrec(ranker, clicks)
        np.testing.assert_allclose(scores(ranker, batch)[0], expected, rtol=1e-4)


def test_a_user_without_clicks_has_a_state_that_is_learned():
    ranker = make_ranker(config_of("sasrec"))
    batch = batch_of(ranker, size=2)
    batch[REC_ITEMS] *= [[0], [1]]
    with tf.GradientTape() as tape:
        loss = ranker.losses(ranker.embed(batch), tf.ones([2, 7]), SupervisedConfig())["loss"]
    assert np.abs(tape.gradient(loss, ranker.newcomer.value)).max() > 0


COMPILED = [kind for kind in KINDS if kind not in ("popularity", "item_neighbours", "lcr_ser", *DRAWING)]


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in COMPILED if config_class(kind).compiles])
def test_losses_of_steps_that_xla_compiles_are_those_of_plain_ones(kind):
    logs, _ = random_logs(users=30)
    found = {}
    for compiled in (False, True):
        keras.utils.set_random_seed(1)
        model = make_ranker(config_of(kind))
        config = SupervisedConfig(num_negatives=3, learning_rate=0.01, jit_compile=compiled)
        tables = [layer.table for layer in model.tables]
        optimizer = make_optimizer(config.optimizer, tables, model.dense_variables, config.learning_rate)
        step = supervised.make_step(model, optimizer, config, logs)
        searches = supervised.search_order(model, logs, 4, 1)
        targets = tf.constant(logs.targets[:24])
        found[compiled] = []
        for number in range(3):
            asked = [tf.constant(one.batch(number)) for one in searches]
            found[compiled].append(float(step(tf.constant(number, tf.int64), targets, *asked)["loss"]))
    np.testing.assert_allclose(found[True], found[False], rtol=1e-5)


@pytest.mark.parametrize("kind", ["gru4rec", "lares"])
def test_what_xla_cannot_compile_is_refused(kind):
    model = make_ranker(config_of(kind))
    with pytest.raises(ValueError, match=f"`supervised.jit_compile` should be false for {kind}"):
        supervised.make_step(model, SplitAdam([], [], 0.1), SupervisedConfig(jit_compile=True), random_logs()[0])
