"""ReaRec and LARES against their equations in float64: reasoning steps, losses, and GRPO on LARES."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from model.baselines import lares, rearec
from model.config import GrpoConfig, SupervisedConfig
from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, UNKNOWN_ID, USER
from model.layers.transformer import TransformerBlock, causal
from model.objectives.softmax import steps_divergence
from model.ranker import CrossReasoner, Reasoner
from model.registry import make_config, make_ranker
from model.training import reinforcement
from tests.support.random_logs import random_batch, random_logs, randomise, small_config, tensors

REAREC = ("rearec_erl", "rearec_prl")
HISTORIES = ([7], [3, 30, 3, 12], [5, 6, 7, 8, 9, 10])
SHARED = ("num_users", "num_items", "num_words", "dim", "rec_length", "search_length", "words_per_search")
RNG = np.random.default_rng(7)


def ranker_of(kind, **changes):
    rates = {"dropout": 0.0} | ({"input_dropout": 0.0} if kind in REAREC else {})
    shared = {name: getattr(small_config(), name) for name in SHARED}
    return randomise(make_ranker(make_config({**shared, **rates, "hidden_units": 12, "kind": kind, **changes})))


def clicks_of(histories, candidates=((2, 9, 41),)):
    length = small_config().rec_length
    padded = [[0] * (length - len(clicks)) + list(clicks) for clicks in histories]
    candidates = np.broadcast_to(np.int32(candidates), (len(padded), 3))
    return {REC_ITEMS: tf.constant(padded), CANDIDATES: tf.constant(candidates)}


def exact(weight):
    return np.asarray(weight, np.float64)


def layer_norm(x, layer):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return normal * exact(layer.gamma) + exact(layer.beta)


def log_softmax(logits):
    return logits - special.logsumexp(logits, -1, keepdims=True)


def encode(encoder, states):
    """Causal blocks that normalise after each residual sum, of one sequence without padding, `[L, d]`."""
    for block in encoder.blocks:
        attention = block.attention
        q, k, v = (
            np.einsum("ld,dhk->hlk", states, exact(layer.kernel)) + exact(layer.bias)[:, None]
            for layer in (attention._query_dense, attention._key_dense, attention._value_dense)
        )
        logits = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
        logits[:, ~np.tri(len(states), dtype=bool)] = -np.inf
        mixed = special.softmax(logits, -1) @ v
        out = attention._output_dense
        attended = np.einsum("hlk,hkd->ld", mixed, exact(out.kernel)) + exact(out.bias)
        states = layer_norm(states + attended, block.attention_norm)
        hidden = states @ exact(block.hidden.kernel) + exact(block.hidden.bias)
        hidden = hidden * special.ndtr(hidden)  # GELU
        states = layer_norm(states + hidden @ exact(block.out.kernel) + exact(block.out.bias), block.feed_forward_norm)
    return states


def inputs_of(ranker, clicks):
    places = exact(ranker.positions.positions)[-len(clicks) :]
    return layer_norm(exact(ranker.items.table)[clicks] + places, ranker.input_norm)


def plain_rearec(ranker, clicks, noise=None):
    """h_0 to h_K: the whole stack over all places, once for each step."""
    inputs = inputs_of(ranker, clicks)
    steps = [encode(ranker.encoder, inputs)[-1]]
    for step in range(ranker.config.reasoning_steps):
        added = steps[-1] + exact(ranker.reasoning_positions)[step] + (0 if noise is None else noise[step])
        inputs = np.concatenate([inputs, layer_norm(added, ranker.input_norm)[None]])
        steps.append(encode(ranker.encoder, inputs)[-1])
    return np.array(steps)


def plain_lares(ranker, clicks, start):
    """States of the newest click after each step, from T_0 `[L, d]`."""
    encoded = encode(ranker.pre, inputs_of(ranker, clicks))
    thoughts, found = start, []
    for _ in range(ranker.config.mean_steps):
        thoughts = encode(ranker.core, layer_norm((thoughts + encoded) / 2, ranker.thought_norm))
        found.append(thoughts[-1])
    return np.array(found)


def think(ranker, batch, **options):
    return ranker.think(ranker.read(ranker.embed(batch)), **options).numpy()


def targets_of(batch):
    return batch[CANDIDATES].numpy()[:, 0]


def cross_entropy(logits, targets):
    """Over all known items; the targets are such."""
    return -log_softmax(logits[:, 2:])[np.arange(len(targets)), targets - 2]


def contrast(anchors, others, temperature=1.0, same=None):
    """Row by row, the pairs of `same` left out."""
    losses = []
    for row in range(len(anchors)):
        kept = [j for j in range(len(others)) if j == row or same is None or not same[row, j]]
        losses.append(-log_softmax(others[kept] @ anchors[row] / temperature)[kept.index(row)])
    return np.array(losses)


@pytest.mark.parametrize("norm", ["query", "pre", "post"])
def test_a_place_alone_sees_what_it_saw_among_all(norm):
    block = TransformerBlock(8, 2, 0.0, norm=norm)
    block.build()
    inputs, mask = tf.constant(RNG.normal(size=(3, 5, 8)), tf.float32), tf.constant(RNG.random((3, 5)) < 0.7)
    mask = tf.concat([mask[:, :-1], tf.ones([3, 1], tf.bool)], 1)
    whole = block(inputs, causal(mask))
    alone = block(inputs[:, -1:], mask[:, None], seen=inputs)
    np.testing.assert_allclose(alone, whole[:, -1:], atol=1e-5)


class TestReaRec:
    @pytest.mark.parametrize("steps", [0, 1, 3])
    @pytest.mark.parametrize("kind", REAREC)
    def test_steps_are_what_the_paper_says(self, kind, steps):
        ranker = ranker_of(kind, reasoning_steps=steps)
        batch = clicks_of(HISTORIES)
        noise = RNG.normal(size=(3, steps, 8))
        found, noisy = think(ranker, batch), think(ranker, batch, noise=tf.constant(noise, tf.float32))
        items = exact(ranker.items.table)[[2, 9, 41]]
        scores = ranker.score(ranker.encode(batch), ranker.prepare(batch[CANDIDATES]))
        for row, clicks in enumerate(HISTORIES):
            expected = plain_rearec(ranker, clicks)
            np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(noisy[row], plain_rearec(ranker, clicks, noise[row]), rtol=1e-4, atol=1e-5)
            merged = expected.mean(0) if kind == "rearec_erl" else expected[-1]
            np.testing.assert_allclose(scores[row], items @ merged / 0.07, rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("kind", REAREC)
    def test_without_steps_it_learns_as_its_encoder(self, kind):
        ranker = ranker_of(kind, reasoning_steps=0)
        batch = clicks_of(HISTORIES, [[2, 9, 41]])
        logs = ranker.losses(ranker.embed(batch), tf.ones([3, 3]), SupervisedConfig())
        assert set(logs) == {"loss", "rec_loss"}
        states = np.array([encode(ranker.encoder, inputs_of(ranker, clicks))[-1] for clicks in HISTORIES])
        expected = cross_entropy(states @ exact(ranker.items.table).T / 0.07, targets_of(batch)).mean()
        assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("loss", ["whole", "sampled", "bce"])
    def test_the_ensemble_differs_by_its_divergence(self, loss):
        changes = {"whole": {}, "sampled": {"full_softmax_items": 0}, "bce": {"loss": "bce"}}[loss]
        ranker = ranker_of("rearec_erl", temperature=0.5, **changes)
        batch = clicks_of(HISTORIES, [[2, 9, 41], [3, 9, 12], [4, 30, 31]])
        weights = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
        steps, candidates = think(ranker, batch).astype(np.float64), batch[CANDIDATES].numpy()
        items, drawn = exact(ranker.items.table), candidates[:, 1:].ravel()

        def classes(row):
            """Items of a row's distributions, and what their logits are corrected by."""
            if loss == "whole":  # one in a hundred of each of the others is the unknown item, 99 are themselves
                known = len(items) - 2
                return np.arange(1, len(items)), np.array([np.log(99 / known), *[0] * known])
            if loss == "bce":
                return candidates[row][weights[row] == 1], 0
            valid = [item for item, weight in zip(drawn, weights[:, 1:].ravel(), strict=True) if weight]
            # Drawn evenly from 42 items, as no click is counted: 5 draws of probability 1 / 42 each.
            return np.array([candidates[row, 0], *valid]), np.array([0, *[np.log(5 / 42)] * 5])

        divergence, of_mean = [], []
        for row in range(3):
            ids, correction = classes(row)
            log_p = log_softmax(steps[row] @ items[ids].T / 0.5 - correction)
            pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
            divergence.append(np.mean([np.sum(np.exp(log_p[j]) * (log_p[j] - log_p[i])) for i, j in pairs]))
            mean = steps[row].mean(0)
            of_mean.append(-log_softmax(items[ids] @ mean / 0.5 - correction)[list(ids).index(candidates[row, 0])])
        logs = ranker.losses(ranker.embed(batch), tf.constant(weights, tf.float32), SupervisedConfig())
        assert float(logs["divergence"]) == pytest.approx(np.mean(divergence), rel=1e-3)
        if loss != "bce":
            assert float(logs["rec_loss"]) == pytest.approx(np.mean(of_mean), rel=1e-4)
        assert float(logs["loss"]) == pytest.approx(
            float(logs["rec_loss"]) - 0.05 * float(logs["divergence"]), rel=1e-5
        )

    def test_one_side_of_the_divergence_is_detached(self):
        logits = RNG.normal(size=(2, 3, 5))
        tensor = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            total = tf.reduce_sum(steps_divergence(tensor))
        expected = np.zeros_like(logits)
        for row, log_p in enumerate(log_softmax(logits)):
            for j in range(3):
                for i in {0, 1, 2} - {j}:
                    p, difference = np.exp(log_p[j]), log_p[j] - log_p[i]
                    expected[row, j] += p * (difference - p @ difference) / 6
        np.testing.assert_allclose(tape.gradient(total, tensor), expected, atol=1e-12)

    def test_progress_is_from_vague_to_sharp_and_noise_is_to_change_little(self):
        ranker = ranker_of("rearec_prl", reasoning_steps=2, noise_scale=0.0)
        # The last two users are new, and no negatives of each other.
        batch = clicks_of([*HISTORIES, [], []], [[2, 9, 41], [3, 9, 12], [4, 30, 31], [5, 6, 7], [5, 6, 7]])
        steps = think(ranker, batch).astype(np.float64)
        logits = steps @ exact(ranker.items.table).T
        targets = targets_of(batch)
        logs = ranker.losses(ranker.embed(batch), tf.ones([5, 3]), SupervisedConfig(unknown_rate=0.0))
        expected = {
            "rec_loss": cross_entropy(logits[:, 2] / 0.07, targets).mean(),
            "progressive_loss": np.mean(
                [cross_entropy(logits[:, k] / (0.07 * 5 ** (2 - k)), targets).mean() for k in (0, 1)]
            ),
        }
        both_new = np.outer([0, 0, 0, 1, 1], [0, 0, 0, 1, 1])
        expected["contrast_loss"] = np.mean([contrast(steps[:, k], steps[:, k], 0.07, both_new) for k in (1, 2)])
        expected["loss"] = sum(expected.values())
        assert {name: float(value) for name, value in logs.items()} == pytest.approx(expected, rel=1e-4)

    def test_noise_is_on_the_inputs_of_the_steps(self, monkeypatch):
        ranker, given, found = ranker_of("rearec_prl", noise_scale=0.01), [], []
        plain = rearec.ReaRec.think

        def spy(self, history, training=False, noise=None):
            given.append(noise)
            found.append(plain(self, history, training, noise))
            return found[-1]

        monkeypatch.setattr(rearec.ReaRec, "think", spy)
        batch = tensors(random_batch(ranker.config, size=300))
        for _ in range(2):
            ranker.losses(ranker.embed(batch), tf.ones([300, 7]), SupervisedConfig())
        assert [noise is None for noise in given] == [True, False] * 2
        assert given[1].shape == (300, 2, 8)
        assert np.std(given[1]) == pytest.approx(0.01, rel=0.05)
        assert np.abs(given[3] - given[1]).max() > 0
        np.testing.assert_array_equal(found[0][:, 0], found[1][:, 0])
        anybody = tf.reduce_any(batch[REC_ITEMS] != 0, 1)
        assert (np.abs(found[0] - found[1])[anybody][:, 1:].max((1, 2)) > 0).all()


class TestLares:
    @pytest.mark.parametrize("steps", [1, 4])
    def test_the_recurrence_is_what_the_paper_says(self, steps):
        ranker = ranker_of("lares", mean_steps=steps, core_blocks=2)
        batch = clicks_of(HISTORIES)
        start = exact(ranker.start())
        noise = ranker.noise(3, 3, 0.5, 11, tf.constant(0, tf.int64))
        histories = ranker.read(ranker.embed(batch))
        of_request, explored = ranker.reason(histories).numpy(), ranker.reason(histories, noise=noise).numpy()
        items = exact(ranker.items.table)[[2, 9, 41]]
        scores = ranker.score(ranker.encode(batch), ranker.prepare(batch[CANDIDATES]))
        logits = ranker.rank(ranker.embed(batch), histories, explored)
        for row, clicks in enumerate(HISTORIES):
            expected = plain_lares(ranker, clicks, start[-len(clicks) :])
            np.testing.assert_allclose(of_request[row, 0], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(scores[row], items @ expected[-1], rtol=1e-4, atol=1e-4)
            for trajectory in range(3):
                own = (start + exact(noise[row, trajectory]))[-len(clicks) :]
                expected = plain_lares(ranker, clicks, own)
                np.testing.assert_allclose(explored[row, trajectory], expected, rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(logits[row, trajectory], items @ expected[-1], rtol=1e-4, atol=1e-4)

    def test_thoughts_start_from_a_normal_variable_cut_at_three_deviations(self):
        ranker = ranker_of("lares")
        noise = ranker.noise(100, 9, 1.0, 11, tf.constant(3, tf.int64)).numpy()
        np.testing.assert_array_equal(noise[:, 0], np.zeros_like(noise[:, 0]))
        drawn = (noise[:, 1:] + ranker.start().numpy()).ravel()
        assert stats.kstest(drawn / 3, stats.truncnorm(-3, 3).cdf).statistic < 0.01
        np.testing.assert_allclose(ranker.noise(100, 9, 0.1, 11, tf.constant(3, tf.int64)), 0.1 * noise, rtol=1e-5)
        again, other = (ranker.noise(100, 9, 1.0, 11, tf.constant(step, tf.int64)) for step in (3, 4))
        np.testing.assert_array_equal(again, noise)
        assert np.abs(other - noise).max() > 1
        np.testing.assert_array_equal(ranker_of("lares").start(), ranker.start())
        assert np.abs(ranker.start()).max() < 9 < 5 * np.std(ranker.start())

    def test_steps_are_drawn_as_the_authors_do(self):
        ranker = ranker_of("lares")
        draw = tf.function(lambda: tf.map_fn(lambda _: ranker._steps(12), tf.range(8000)))
        found = np.bincount(draw(), minlength=13) / 8000
        # One more than a Poisson variable, whose rate is log-normal of mean 4; 12 at the most.
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        rates = 4 * np.exp(0.5 * nodes - 0.125)
        expected = np.zeros(13)
        for count in range(11):
            expected[count + 1] = stats.poisson.pmf(count, rates) @ weights / weights.sum()
        expected[12] = 1 - expected.sum()
        np.testing.assert_allclose(found, expected, atol=0.02)
        assert {int(ranker_of("lares", drawn_steps=False)._steps(4)) for _ in range(3)} == {4}

    def test_a_training_step_keeps_the_last_thought_and_an_earlier_one(self):
        ranker = ranker_of("lares", start_scale=0.0, mean_steps=2)
        histories = ranker.read(ranker.embed(clicks_of(HISTORIES)))
        thoughts, states = tf.zeros_like(histories.states), []
        for _ in range(6):
            thoughts = ranker.think(thoughts, histories)
            states.append(thoughts[:, -1].numpy())
        explore, seen = tf.function(lambda: ranker.explore(histories)), set()
        for _ in range(60):
            last, earlier, steps = (np.asarray(value) for value in explore())
            np.testing.assert_allclose(last, states[steps - 1], atol=1e-5)
            if steps == 1:
                np.testing.assert_array_equal(earlier, 0 * earlier)
                continue
            [place] = [n for n in range(6) if np.allclose(earlier, states[n], atol=1e-6)]
            assert place < steps - 1
            seen.add((int(steps), place))
        assert {(2, 0), (3, 0), (3, 1)} <= seen

    def test_losses_are_what_the_paper_says(self):
        # Two steps: the first is the only earlier one. Of no start at all the recurrence is that of a request.
        ranker = ranker_of("lares", start_scale=0.0, mean_steps=2, drawn_steps=False)
        targets = [5, 7, 5, UNKNOWN_ID, 5, UNKNOWN_ID, 7, 5, 9]
        histories = [[3], [4, 8], [9, 2], [30, 31], [12], [13], [14, 15], [], [17]]
        batch = clicks_of(histories, [[target, 20, 21] for target in targets])
        states = exact(ranker.reason(ranker.read(ranker.embed(batch)))[:, 0])
        states[7] = exact(ranker.newcomer)
        first, last = states[:, 0], states[:, 1]
        logits = last @ exact(ranker.items.table).T
        rows = [row for row, target in enumerate(targets) if target != UNKNOWN_ID]
        rec = list(cross_entropy(logits[rows], np.array(targets)[rows]))
        rec += [-log_softmax(logits[row, 1:])[0] for row in (3, 5)]
        # 5 is the target of rows 0, 2 and 4, and of a user without a click; 7 of rows 1 and 6.
        partners = np.array([2, 6, 4, 3, 0, 5, 1, 7, 8])
        same = np.array([[i != j and {i, j} <= {0, 2, 4} or {i, j} == {1, 6} for j in range(9)] for i in range(9)])
        other, taking = last[partners], [0, 1, 2, 4, 6]
        of_trajectories = (contrast(last, other, same=same) + contrast(other, last, same=same))[taking].mean() / 2
        known = [0, 1, 2, 3, 4, 5, 6, 8]
        of_steps = (contrast(last, first) + contrast(first, last))[known].mean() / 2
        expected = {"rec_loss": np.mean(rec), "trajectory_loss": of_trajectories, "step_loss": of_steps}
        expected["loss"] = expected["rec_loss"] + 0.1 * of_trajectories + 0.5 * of_steps
        logs = ranker.losses(ranker.embed(batch), tf.ones([9, 3]), SupervisedConfig(unknown_rate=0.0))
        assert {name: float(value) for name, value in logs.items()} == pytest.approx(expected, rel=1e-4)

    def test_alignments_of_nothing_are_0(self):
        ranker = ranker_of("lares", mean_steps=1, drawn_steps=False)
        batch = clicks_of(HISTORIES, [[2, 9, 41], [3, 9, 12], [4, 30, 31]])
        logs = ranker.losses(ranker.embed(batch), tf.ones([3, 3]), SupervisedConfig())
        assert (float(logs["trajectory_loss"]), float(logs["step_loss"])) == (0, 0)
        np.testing.assert_array_equal(lares.next_alike(tf.zeros([3, 3], tf.bool)), [0, 1, 2])

    def test_the_partner_is_the_next_row_in_turn(self):
        groups = np.array([0, 1, 0, 2, 0])
        np.testing.assert_array_equal(lares.next_alike(tf.constant(groups[:, None] == groups)), [2, 1, 4, 3, 0])


@pytest.mark.parametrize("kind", [*REAREC, "lares"])
class TestBoth:
    def test_no_place_knows_a_later_click(self, kind):
        ranker = ranker_of(kind)
        one, other = (clicks_of([[5, 6, 7, 8, 9, last]]) for last in (10, 33))

        def places(batch):
            histories = ranker.read(ranker.embed(batch))
            if kind in REAREC:
                return histories.seen[1]
            return ranker.think(ranker.start()[None], histories)

        before, after = places(one).numpy(), places(other).numpy()
        np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
        assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-3

    def test_no_search_and_no_user_changes_a_score(self, kind):
        ranker = ranker_of(kind)
        batch = tensors(random_batch(ranker.config))
        others = {**batch, **{name: tf.zeros_like(batch[name]) for name in (USER, SEARCH_WORDS, SEARCH_ITEMS)}}
        found = [ranker.score(ranker.encode(one), ranker.prepare(one[CANDIDATES])) for one in (batch, others)]
        np.testing.assert_array_equal(*found)

    @pytest.mark.parametrize("loss", ["softmax", "bce", "bce_one"])
    def test_every_weight_learns(self, kind, loss):
        ranker = ranker_of(kind, loss=loss, temperature=1.0)
        batch = tensors(random_batch(ranker.config, size=20))
        with tf.GradientTape() as tape:
            total = ranker.losses(ranker.embed(batch), tf.ones([20, 7]), SupervisedConfig())["loss"]
        for variable, gradient in zip(
            ranker.trainable_variables,
            tape.gradient(total, [variable.value for variable in ranker.trainable_variables]),
            strict=True,
        ):
            # A constant added to all keys changes no softmax.
            if "key/bias" not in variable.path:
                assert np.abs(tf.convert_to_tensor(gradient)).max() > 1e-7, variable.path


# NDCG@10 over ten candidates: nearly every change of a ranking changes the reward.
GRPO = GrpoConfig(
    num_trajectories=4, noise_scale=1.0, num_negatives=9, batch_size=32, learning_rate=3e-3, reward={"NDCG@10": 1.0}
)


class TestGrpo:
    def test_it_is_a_reasoner_of_one_side(self):
        assert isinstance(ranker_of("lares"), Reasoner)
        assert not isinstance(ranker_of("lares"), CrossReasoner)
        assert not any(isinstance(ranker_of(kind), Reasoner) for kind in REAREC)

    def test_an_update_raises_the_objective_of_its_rollout(self):
        model = ranker_of("lares")
        reference, optimizer = reinforcement.copy_policy(model), reinforcement.make_optimizer(model, GRPO)
        embedded = model.embed(tensors(random_batch(model.config, size=40, candidates=10)))
        noise = reinforcement.sample_noise(model, GRPO, 40, tf.constant(0, tf.int64))

        def logits_of(one):
            histories = one.read(embedded)
            return one.rank(embedded, histories, one.reason(histories, noise=noise)).numpy().astype(np.float64)

        with tf.GradientTape() as tape:
            before, _ = reinforcement.group_objective(
                model, reference, GRPO, embedded, anchor=embedded, valid=tf.ones([40, 10], tf.bool), noise=noise
            )
        optimizer.apply(tape.gradient(before["loss"], optimizer.sources))
        old, new = (log_softmax(logits_of(one))[..., 0] for one in (reference, model))
        logits = logits_of(reference)
        rewards = 1 / np.log2(2 + (logits[..., 1:] >= logits[..., :1]).sum(-1))
        advantage = (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, ddof=1, keepdims=True) + 1e-4)
        kl = np.exp(old - new) - (old - new) - 1
        assert float(before["reward"]) == pytest.approx(rewards.mean(), rel=1e-4)
        assert np.mean(np.exp(new - old) * advantage - GRPO.kl_weight * kl) > 1e-5  # 0 before it

    @pytest.mark.slow
    @pytest.mark.parametrize("trained", ["dense", "reasoning"])
    def test_what_is_to_be_trained_moves(self, trained, eager):
        model, reference, _ = trained_by_grpo(1, trained=trained)
        moved = {
            id(one)
            for one, other in zip(model.trainable_variables, reference.trainable_variables, strict=True)
            if np.abs(one.numpy() - other.numpy()).max() > 0
        }
        named = model.reasoning_variables if trained == "reasoning" else model.dense_variables
        # Softmax does not see a bias of keys, and a user without a click has one state, whatever the trajectory.
        still = {id(one) for one in named if one is model.newcomer or one.path.endswith("key/bias")}
        assert {id(one) for one in named} - still <= moved <= {id(one) for one in named}

    @pytest.mark.long
    def test_a_huge_kl_weight_holds_the_policy_at_its_reference(self, eager):
        # At first the policy is the reference, where the divergence has no gradient: a step away, and back.
        free, held = (trained_by_grpo(6, kl_weight=weight, learning_rate=1e-3)[2]["kl"] for weight in (0.0, 1e6))
        assert held < 0.1 * free


def trained_by_grpo(steps, **changes):
    """Model, reference and the logs of the last step."""
    config, timelines = dataclasses.replace(GRPO, **changes), random_logs()[0]
    model = ranker_of("lares")
    reference, optimizer = reinforcement.copy_policy(model), reinforcement.make_optimizer(model, config)
    step = reinforcement.make_step(model, reference, optimizer, config, timelines)
    for number in range(steps):
        logs = step(tf.constant(number, tf.int64), tf.constant(timelines.targets[:32]))
    return model, reference, {name: float(value) for name, value in logs.items()}
