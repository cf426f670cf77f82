"""CL4SRec, BERT4Rec, GRU4Rec and item neighbours against float64, and the properties that their papers promise."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from model.config import SupervisedConfig
from model.contract import CANDIDATES, REC_ITEMS
from model.layers import augmentations
from model.layers.transformer import causal
from model.objectives.bpr_max import bpr_max_loss
from model.objectives.contrast import nt_xent_loss
from model.registry import make_config, make_ranker
from tests.support.random_logs import random_batch, random_logs, randomise, small_config

EPSILON = 1e-12
SHAPE = ("num_users", "num_items", "num_words", "dim", "rec_length", "search_length", "words_per_search",
         "items_per_search")  # fmt: skip


def config_of(kind, **changes):
    shared = {name: getattr(small_config(), name) for name in SHAPE}
    return make_config({**shared, "kind": kind, **changes})


def ranker_of(kind, seed=0, **changes):
    ranker = randomise(make_ranker(config_of(kind, **changes)), seed)
    ranker.fit_counts(random_logs()[0])
    return ranker


def batch_of(ranker, **sizes):
    return {name: tf.constant(values) for name, values in random_batch(ranker.config, **sizes).items()}


def histories(*clicks, length=6):
    """Rows padded on the left."""
    return tf.constant([[0] * (length - len(row)) + list(row) for row in clicks], tf.int32)


def states_of(ranker, clicks):
    return ranker.encode({REC_ITEMS: histories(*clicks)})["state"].numpy()


def fine(variable):
    return np.asarray(variable, np.float64)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, layer):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON) * fine(layer.gamma) + fine(
        layer.beta
    )


def plain_encoder(ranker, events, *, causal):
    """Post-norm blocks with GELU over the events `[L, d]` of one user, in float64."""
    states = events + fine(ranker.positions.positions)[ranker.config.rec_length - len(events) :]
    states = layer_norm(states, ranker.norm)
    for block in ranker.encoder.blocks:
        attention, mixed = block.attention, np.zeros_like(states)
        weights = [(fine(one.kernel), fine(one.bias)) for one in (
            attention._query_dense, attention._key_dense, attention._value_dense, attention._output_dense
        )]  # fmt: skip
        (of_out, out_bias) = weights.pop()
        for head in range(ranker.config.num_heads):
            q, k, v = (states @ kernel[:, head] + bias[head] for kernel, bias in weights)
            logits = q @ k.T / np.sqrt(q.shape[1])
            if causal:
                logits = np.where(np.tri(len(states), dtype=bool), logits, -np.inf)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            mixed += shares / shares.sum(1, keepdims=True) @ v @ of_out[head]
        states = layer_norm(states + mixed + out_bias, block.attention_norm)
        hidden = gelu(states @ fine(block.hidden.kernel) + fine(block.hidden.bias))
        states = layer_norm(states + hidden @ fine(block.out.kernel) + fine(block.out.bias), block.feed_forward_norm)
    return states


@st.composite
def noisy_histories(draw):
    """Which places are real, a rate, and noise."""
    length, rows = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    events = np.array([draw(st.integers(0, length)) for _ in range(rows)])
    real = np.arange(length)[None] >= length - events[:, None]
    noise = np.random.default_rng(draw(st.integers(0, 1 << 20))).random((rows, length + 1)).astype(np.float32)
    noise[:, 0] = draw(st.sampled_from([0.0, noise[0, 0], np.nextafter(np.float32(1), np.float32(0))]))
    return real, events, draw(st.integers(0, 100)), noise


def exact(rate, events):
    """floor(rate n), the rate in hundredths."""
    return rate * events // 100


class TestAugmentations:
    @given(noisy_histories())
    def test_a_crop_keeps_a_run_of_exactly_its_share_and_at_least_one(self, drawn):
        real, events, rate, noise = drawn
        choice = augmentations.crop(tf.constant(real), rate / 100, tf.constant(noise[:, 0]))
        length = real.shape[1]
        for columns, kept, count in zip(choice.columns.numpy(), choice.real.numpy(), events, strict=True):
            expected = min(count, max(1, exact(rate, count)))
            assert kept.tolist() == [False] * (length - expected) + [True] * expected, "moved to the newest places"
            assert (columns[~kept] == length + 1).all()
            if expected:
                np.testing.assert_array_equal(np.diff(columns[kept]), 1)
                assert length - count <= columns[kept][0] <= length - expected

    @given(noisy_histories())
    def test_a_mask_hides_exactly_its_share(self, drawn):
        real, events, rate, noise = drawn
        choice = augmentations.mask(tf.constant(real), rate / 100, tf.constant(noise[:, 1:]))
        length = real.shape[1]
        np.testing.assert_array_equal(choice.real, real)
        columns = choice.columns.numpy()
        assert (columns[~real] == length + 1).all()
        np.testing.assert_array_equal((columns == length).sum(1), exact(rate, events))
        own = np.broadcast_to(np.arange(length), real.shape)
        assert (columns == own)[real & (columns != length)].all()

    @given(noisy_histories())
    def test_a_reorder_shuffles_a_run_of_exactly_its_share(self, drawn):
        real, events, rate, noise = drawn
        choice = augmentations.reorder(
            tf.constant(real), rate / 100, tf.constant(noise[:, 0]), tf.constant(noise[:, 1:])
        )
        length = real.shape[1]
        np.testing.assert_array_equal(choice.real, real)
        for columns, present, count in zip(choice.columns.numpy(), real, events, strict=True):
            assert (columns[~present] == length + 1).all()
            np.testing.assert_array_equal(np.sort(columns[present]), np.arange(length - count, length))
            moved = np.flatnonzero(present & (columns != np.arange(length)))
            assert not len(moved) or moved[-1] - moved[0] < exact(rate, count)

    def test_counts_are_exact_where_a_product_of_floats_is_not(self):
        assert math.floor(0.29 * 100) == 28
        for rate in range(101):
            found = [augmentations.share(rate / 100)(events) for events in range(201)]
            assert found == [exact(rate, events) for events in range(201)]

    def test_a_reorder_of_everything_follows_its_noise(self):
        noise = np.random.default_rng(0).random((3, 9)).astype(np.float32)
        real = tf.ones([3, 9], tf.bool)
        choice = augmentations.reorder(real, 1.0, tf.zeros(3), tf.constant(noise))
        np.testing.assert_array_equal(choice.columns, np.argsort(noise, 1))

    def test_places_of_a_run_are_all_reached(self):
        real = tf.repeat(histories([1, 1, 1, 1], length=5) != 0, 200, 0)
        noise = (tf.range(200.0) + 0.5) / 200
        begins = augmentations.crop(real, 0.5, noise).columns.numpy()[:, -2]
        assert np.bincount(begins).tolist() == [0, 67, 66, 67]

    def test_each_of_the_three_is_as_likely_and_rows_differ(self):
        real = tf.repeat(histories([1] * 5) != 0, 3000, 0)
        columns = augmentations.one_of_three(real, (0.6, 0.4, 0.4), tf.constant([3, 4])).columns.numpy()
        masked = (columns == 6).any(1)
        cropped = (columns == 7).sum(1) == 3
        shares = [cropped.mean(), masked.mean(), 1 - cropped.mean() - masked.mean()]
        np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
        again = augmentations.one_of_three(real, (0.6, 0.4, 0.4), tf.constant([3, 4])).columns.numpy()
        np.testing.assert_array_equal(columns, again)

    def test_events_stand_where_the_choice_says_and_are_not_changed(self):
        events = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 4)), tf.float32)
        before = events.numpy().copy()
        choice = augmentations.Choice(tf.constant([[4, 0, 3], [2, 1, 0]]), tf.ones([2, 3], tf.bool))
        found = augmentations.rearrange(events, tf.fill([4], 9.0), choice).numpy()
        np.testing.assert_array_equal(found[0], [np.zeros(4), before[0, 0], np.full(4, 9)])
        np.testing.assert_array_equal(found[1], before[1, ::-1])
        np.testing.assert_array_equal(events, before)


class TestCl4SRec:
    @pytest.mark.parametrize("heads", [1, 2])
    def test_its_state_is_that_of_a_causal_encoder(self, heads):
        ranker = ranker_of("cl4srec", num_heads=heads)
        for clicks in ([7], [3, 30, 3, 12], [5, 6, 7, 8, 9, 10]):
            expected = plain_encoder(ranker, fine(ranker.items.table)[clicks], causal=True)[-1]
            np.testing.assert_allclose(states_of(ranker, [clicks])[0], expected, rtol=1e-4, atol=1e-5)

    def test_a_place_does_not_see_what_comes_after_it(self):
        ranker = ranker_of("cl4srec")
        events = tf.constant(np.random.default_rng(0).normal(size=(1, 6, 8)), tf.float32)
        other = tf.concat([events[:, :4], -events[:, 4:]], 1)
        real = tf.ones([1, 6], tf.bool)
        one, two = (ranker.encoder(each, causal(real)).numpy() for each in (events, other))
        np.testing.assert_array_equal(one[:, :4], two[:, :4])
        assert (one[:, 4:] != two[:, 4:]).any()

    def test_without_its_weight_the_loss_is_that_of_next_items_to_the_bit(self):
        with_it, without = (ranker_of("cl4srec", contrast_weight=weight, dropout=0.0) for weight in (0.5, 0.0))
        batch, weights = batch_of(with_it), tf.ones([5, 7])
        ours = with_it.losses(with_it.embed(batch), weights, SupervisedConfig())
        plain = without.losses(without.embed(batch), weights, SupervisedConfig())
        assert set(plain) == {"loss", "rec_loss"}
        assert float(plain["loss"]) == float(ours["rec_loss"])
        assert float(ours["loss"]) == pytest.approx(float(ours["rec_loss"]) + 0.5 * float(ours["contrast_loss"]))
        assert int(without.augmentation_seeds.state.numpy()[1]) == 0, "nothing was drawn"

    def test_two_views_of_a_history_are_drawn_for_themselves(self):
        ranker = ranker_of("cl4srec", dropout=0.0)
        batch = {REC_ITEMS: tf.repeat(histories([5, 6, 7, 8, 9, 10]), 400, 0)}
        embedded = ranker.embed(batch)
        kinds = []
        for _ in range(2):
            columns = ranker.augment(embedded).columns.numpy()
            kinds.append(np.where((columns == 6).any(1), 1, np.where((columns == 7).any(1), 0, 2)))
        table = np.zeros((3, 3))
        np.add.at(table, tuple(kinds), 1 / 400)
        np.testing.assert_allclose(table, 1 / 9, atol=0.06)

    def test_the_contrastive_loss_is_that_of_the_views(self):
        ranker = ranker_of("cl4srec", dropout=0.0, contrast_temperature=2.0)
        embedded = ranker.embed(batch_of(ranker, size=6))
        ranker.augmentation_seeds.state.assign([8, 0])
        loss = ranker.losses(embedded, tf.ones([6, 7]), SupervisedConfig())["contrast_loss"]
        ranker.augmentation_seeds.state.assign([8, 0])
        valid = embedded.rec_mask.numpy().any(1)
        views = [fine(one)[valid] for one in ranker.views(embedded)]
        assert not np.allclose(*views)
        np.testing.assert_allclose(loss, plain_nt_xent(*views, 2.0).sum() / 6, rtol=1e-5)

    def test_mask_is_no_row_of_the_table_and_is_learned(self):
        ranker = ranker_of("cl4srec", mask_rate=1.0)
        batch = batch_of(ranker, size=8)
        with tf.GradientTape() as tape:
            loss = ranker.losses(ranker.embed(batch), tf.ones([8, 7]), SupervisedConfig())["contrast_loss"]
        assert np.abs(tape.gradient(loss, ranker.mask_token.value)).max() > 0
        assert ranker.items.table.shape[0] == ranker.config.num_items

    @pytest.mark.parametrize("name, value", [("crop_keep", 1.5), ("mask_rate", -0.1), ("contrast_temperature", 0.0)])
    def test_settings_out_of_range_are_refused(self, name, value):
        with pytest.raises(ValueError, match=f"`{name}` should be .* Received: {value}."):
            config_of("cl4srec", **{name: value})


def plain_nt_xent(one, other, temperature):
    """For each row the mean of its two views' losses, by the sums of the paper."""
    views, rows = np.concatenate([one, other]), len(one)
    similar = np.exp(views @ views.T / temperature)
    losses = []
    for view in range(2 * rows):
        others = [k for k in range(2 * rows) if k != view]
        losses.append(-np.log(similar[view, (view + rows) % (2 * rows)] / similar[view, others].sum()))
    return (np.array(losses[:rows]) + losses[rows:]) / 2


def test_nt_xent_has_one_positive_and_2b_minus_2_negatives():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 5, 4))
    valid = np.array([True, True, False, True, True])
    found = nt_xent_loss(tf.constant(one), tf.constant(other), 0.7, tf.constant(valid)).numpy()
    np.testing.assert_allclose(found[valid], plain_nt_xent(one[valid], other[valid], 0.7), rtol=1e-10)
    assert found[2] == 0


def plain_bert4rec(ranker, clicks):
    """The output of a [MASK] behind the clicks that there is room for, and 1."""
    table = fine(ranker.items.table)
    clicks = clicks[-(ranker.config.rec_length - 1) :]
    events = np.concatenate([table[clicks, :-1], fine(ranker.mask_token)[None]])
    return np.append(plain_output(ranker, plain_encoder(ranker, events, causal=False)[-1]), 1)


def plain_output(ranker, states):
    hidden = gelu(states @ fine(ranker.output_hidden.kernel) + fine(ranker.output_hidden.bias))
    return layer_norm(hidden, ranker.output_norm)


class TestBert4Rec:
    @pytest.mark.parametrize("heads", [1, 2])
    def test_its_scores_are_those_of_the_paper(self, heads):
        ranker = ranker_of("bert4rec", num_heads=heads)
        table = fine(ranker.items.table)
        for clicks in ([7], [3, 30, 3, 12], [5, 6, 7, 8, 9], [5, 6, 7, 8, 9, 10]):
            candidates = tf.constant([[2, 9, 41]])
            state = ranker.encode({REC_ITEMS: histories(clicks)})
            expected = plain_bert4rec(ranker, clicks)
            # The output and the table, and a bias for each item.
            expected = table[[2, 9, 41], :-1] @ expected[:-1] + table[[2, 9, 41], -1]
            np.testing.assert_allclose(ranker.score(state, ranker.prepare(candidates))[0], expected, rtol=1e-4)

    def test_the_mask_drops_the_oldest_click_of_a_full_history_alone(self):
        ranker = ranker_of("bert4rec")
        full, other, without = states_of(ranker, [[5, 6, 7, 8, 9, 10], [30, 6, 7, 8, 9, 10], [6, 7, 8, 9, 10]])
        np.testing.assert_allclose(full, other, atol=1e-6)
        np.testing.assert_allclose(full, without, atol=1e-6)
        one, two = states_of(ranker, [[6, 7, 8, 9, 10], [30, 7, 8, 9, 10]])
        assert np.abs(one - two).max() > 1e-3

    def test_a_place_sees_what_comes_after_it(self):
        ranker = ranker_of("bert4rec")
        events = tf.constant(np.random.default_rng(0).normal(size=(1, 6, 8)), tf.float32)
        other = tf.concat([events[:, :5], -events[:, 5:]], 1)
        one, two = (ranker.states(each, tf.ones([1, 6], tf.bool), False).numpy() for each in (events, other))
        assert (np.abs(one - two).max(-1) > 1e-4).all()

    @pytest.mark.parametrize("rate, last_rate", [(0.2, 0.0), (0.5, 0.3), (0.6, 1.0), (1.0, 0.0), (0.0, 0.5)])
    def test_it_masks_its_share_of_the_clicks_or_the_newest_alone(self, rate, last_rate):
        ranker = ranker_of("bert4rec", mask_rate=rate, last_rate=last_rate)
        real = np.repeat(np.arange(6)[None] >= 6 - np.arange(1, 7)[:, None], 500, 0)
        places, masked = (each.numpy() for each in ranker.draw_masks(tf.constant(real)))
        alone = (masked.sum(1) == 1) & (places[:, 0] == 5)
        for clicks in range(1, 7):
            rows = real.sum(1) == clicks
            expected = max(1, int(rate * clicks + 0.5))
            counts = masked[rows].sum(1)
            assert set(counts) <= {1, expected}
            assert all(len(set(row[:count])) == count for row, count in zip(places[rows], counts, strict=True))
            assert (places[rows][masked[rows]] >= 6 - clicks).all(), "padding is not masked"
            if clicks == 6:
                by_chance = (1 - last_rate) / 6 if expected == 1 else 0
                assert alone[rows].mean() == pytest.approx(last_rate + by_chance, abs=0.07)

    @pytest.mark.parametrize("whole", [True, False])
    def test_its_loss_counts_masked_places_alone(self, whole):
        """Of each row the mean cross-entropy at its masked places, by float64 from the masked sequence."""
        ranker = ranker_of("bert4rec", dropout=0.0, mask_rate=0.5, full_softmax_items=100 if whole else 0)
        batch = batch_of(ranker, size=10)
        batch[REC_ITEMS] = tf.where(batch[REC_ITEMS] == 1, 2, batch[REC_ITEMS])
        embedded = ranker.embed(batch)
        ranker.mask_seeds.state.assign([5, 0])
        loss = ranker.losses(embedded, tf.ones([10, 7]), SupervisedConfig())["loss"]
        table, clicks = fine(ranker.items.table), batch[REC_ITEMS].numpy()
        sequences = np.concatenate([clicks, batch[CANDIDATES].numpy()[:, :1]], 1)[:, -6:]
        ranker.mask_seeds.state.assign([5, 0])
        places, masked = (each.numpy() for each in ranker.draw_masks(tf.constant(sequences != 0)))
        assert len(set(masked.sum(1))) > 1
        drawn = batch[CANDIDATES].numpy()[:, 1:].ravel()
        items = np.flatnonzero(ranker.clicks.numpy()) if not whole else None
        losses = []
        for row, sequence in enumerate(sequences):
            hidden = places[row][masked[row]]
            events = np.where(np.isin(np.arange(6), hidden)[:, None], fine(ranker.mask_token), table[sequence, :-1])
            length = (sequence != 0).sum()
            states = plain_output(ranker, plain_encoder(ranker, events[-length:], causal=False))
            of_row = []
            for place in hidden:
                state = states[place - 6 + length] if clicks[row].any() else fine(ranker.newcomer)
                logits, target = table @ np.append(state, 1), sequence[place]
                if whole:  # one in a hundred of each of the others is the unknown item, 99 are themselves
                    others = np.exp(logits[2:]).sum() + len(logits[2:]) / 99 * np.exp(logits[1])
                else:  # exp(o) / (M q) for the M draws, q being 1 / the items clicked
                    draws = drawn[drawn != target]
                    others = np.exp(logits[target]) + (np.exp(logits[draws]) * len(items) / len(drawn)).sum()
                of_row.append(np.log(others) - logits[target])
            losses.append(np.mean(of_row))
        assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)

    def test_biases_begin_at_0_and_the_first_stage_knows_them(self):
        ranker = make_ranker(config_of("bert4rec", retrieval=True))
        np.testing.assert_array_equal(ranker.items.table.numpy()[:, -1], 0)
        randomise(ranker)
        batch = batch_of(ranker)
        state = ranker.encode(batch)
        scores = ranker.score(state, ranker.prepare(tf.range(2, 42)[None]))
        np.testing.assert_allclose(ranker.query(state) @ tf.transpose(ranker.item_vectors[2:]), scores, rtol=1e-5)

    def test_other_losses_are_refused(self):
        with pytest.raises(ValueError, match="`loss` should be one of softmax. Received: 'bce'"):
            config_of("bert4rec", loss="bce")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_gru(ranker, clicks):
    """The state after the clicks of one user by the equations of the paper, in float64."""
    of_author = ranker.config.variant == "author"
    kernel, recurrent, *bias = (fine(weight) for weight in ranker.gru.weights)
    units = recurrent.shape[0]
    (update, reset, new), (state_update, state_reset, state_new) = (
        np.split(each, 3, axis=1) for each in (kernel, recurrent)
    )
    update_bias, reset_bias, new_bias = np.split(bias[0], 3) if bias else [0, 0, 0]
    h = np.zeros(units)
    for x in fine(ranker.items.table)[clicks]:
        r = sigmoid(x @ reset + h @ state_reset + reset_bias)
        z = sigmoid(x @ update + h @ state_update + update_bias)
        old = (r * h) @ state_new if of_author else r * (h @ state_new)
        h = z * h + (1 - z) * np.tanh(x @ new + old + new_bias)
    return h if of_author else h @ fine(ranker.out.kernel) + fine(ranker.out.bias)


class TestGru4Rec:
    @pytest.mark.parametrize("variant", ["author", "recbole"])
    def test_its_state_is_that_of_the_equations(self, variant):
        ranker = ranker_of("gru4rec", variant=variant, units=5)
        for clicks in ([7], [3, 30, 3, 12], [5, 6, 7, 8, 9, 10]):
            np.testing.assert_allclose(states_of(ranker, [clicks])[0], plain_gru(ranker, clicks), rtol=1e-4)

    def test_no_state_passes_from_one_user_or_call_to_the_next(self):
        ranker = ranker_of("gru4rec")
        rows = [[5, 6, 7], [30, 31, 32, 33, 34, 35], [5, 6, 7]]
        found = states_of(ranker, rows)
        np.testing.assert_array_equal(found[0], found[2])
        np.testing.assert_array_equal(found, states_of(ranker, rows))
        np.testing.assert_allclose(found[2], states_of(ranker, rows[2:])[0], atol=1e-6)
        assert len(ranker.gru.weights) == len(ranker.gru.trainable_weights), "no state is kept"

    def test_the_table_is_tied_by_the_author_and_the_variant_has_its_own_layer(self):
        shapes = {
            variant: {tuple(weight.shape) for weight in ranker_of("gru4rec", variant=variant).dense_variables}
            for variant in ("author", "recbole")
        }
        assert shapes["author"] == {(8,), (8, 24), (24,)}
        assert shapes["recbole"] == {(8,), (8, 384), (128, 384), (128, 8)}

    def test_dropout_falls_on_embedding_and_state(self):
        ranker = ranker_of("gru4rec", dropout=0.5, hidden_dropout=0.5)
        embedded = ranker.embed({REC_ITEMS: tf.repeat(histories([5, 6, 7]), 500, 0)})
        states = ranker.state(embedded, training=True).numpy()
        assert (states == 0).mean() == pytest.approx(0.5, abs=0.03)
        assert len(np.unique(states[:, 0])) > 20, "other clicks were dropped in other rows"
        np.testing.assert_array_equal(*ranker.state(embedded).numpy()[:2])

    def test_its_bpr_max_is_that_of_the_paper(self):
        ranker = ranker_of("gru4rec", loss="bpr_max", bpr_regularisation=0.3)
        batch = batch_of(ranker)
        weights = np.ones((5, 7), np.float32)
        weights[3, 5:] = weights[0, 2] = 0
        loss = ranker.losses(ranker.embed(batch), tf.constant(weights), SupervisedConfig())["loss"]
        candidates, table = batch[CANDIDATES].numpy(), fine(ranker.items.table)
        shared = candidates[:, 1:][weights[:, 1:] > 0]
        losses = []
        for row, history in enumerate(batch[REC_ITEMS].numpy()):
            clicks = history[history != 0]
            logits = table @ (plain_gru(ranker, clicks) if len(clicks) else fine(ranker.newcomer))
            target = candidates[row, 0]
            losses.append(plain_bpr_max(logits[target], logits[shared[shared != target]], 0.3))
        assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)

    def test_an_mlp_does_not_go_with_bpr_max(self):
        with pytest.raises(ValueError, match="`scoring` mlp should go with `loss` bce or bce_one. Received: bpr_max."):
            config_of("gru4rec", loss="bpr_max", scoring="mlp")


def plain_bpr_max(positive, negatives, regularisation):
    shares = np.exp(negatives) / np.exp(negatives).sum()
    return -np.log((shares * sigmoid(positive - negatives)).sum()) + regularisation * (shares * negatives**2).sum()


def test_bpr_max_leaves_out_what_is_not_valid_and_stays_finite():
    rng = np.random.default_rng(0)
    positive, negatives, valid = rng.normal(size=3), rng.normal(size=(3, 6)), rng.random((3, 6)) < 0.6
    positive[1], negatives[1], valid[2] = -200.0, 200.0, False
    logits = [tf.constant(one, tf.float32) for one in (positive, negatives)]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = bpr_max_loss(*logits, valid=tf.constant(valid), regularisation=0.5)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(found, logits))
    assert float(found[0]) == pytest.approx(plain_bpr_max(positive[0], negatives[0][valid[0]], 0.5), rel=1e-5)
    assert float(found[1]) == pytest.approx(400 + 0.5 * 200**2)
    assert found[2] == 0


def plain_neighbours(timelines, config):
    """Similarities of all items, float64, of each item's N most similar alone: by sets of users."""
    users = [set() for _ in range(config.num_items)]
    for user, (begin, end) in enumerate(zip(timelines.rec_offsets[:-1], timelines.rec_offsets[1:], strict=True)):
        for item in timelines.rec_items[begin:end]:
            users[item].add(user)
    users[0] = users[1] = set()
    kept = np.zeros((config.num_items, config.num_items))
    for one in range(config.num_items):
        row = [
            len(users[one] & users[other])
            / max(1e-9, np.sqrt(len(users[one]) * len(users[other])) + config.shrinkage)
            * (one != other)
            for other in range(config.num_items)
        ]
        for other in sorted(range(config.num_items), key=lambda other: (-row[other], other))[: config.neighbours]:
            kept[one, other] = row[other]
    return kept


class TestItemNeighbours:
    @pytest.mark.parametrize("pairs", [1, 50, 1 << 24])
    @pytest.mark.parametrize("neighbours, shrinkage", [(3, 2.0), (60, 0.0)])
    def test_its_scores_are_sums_of_decayed_similarities(self, pairs, neighbours, shrinkage, monkeypatch):
        monkeypatch.setattr("model.baselines.item_neighbours.PAIRS_AT_ONCE", pairs)
        timelines, _ = random_logs()
        timelines.rec_items[::17] = 1
        ranker = make_ranker(config_of("item_neighbours", neighbours=neighbours, shrinkage=shrinkage, recency=0.7))
        ranker.fit_counts(timelines)
        similar = plain_neighbours(timelines, ranker.config)
        batch = batch_of(ranker, size=10, candidates=20)
        found = ranker.score(ranker.encode(batch), ranker.prepare(batch[CANDIDATES])).numpy()
        decay = 0.7 ** np.arange(5, -1, -1)
        assert (found > 0).any()
        for row, (clicks, candidates) in enumerate(
            zip(batch[REC_ITEMS].numpy(), batch[CANDIDATES].numpy(), strict=True)
        ):
            np.testing.assert_allclose(found[row], decay @ similar[clicks][:, candidates], rtol=1e-5, atol=1e-7)

    def test_nothing_is_trained_and_padding_has_no_neighbour(self):
        ranker = ranker_of("item_neighbours")
        assert ranker.trainable_variables == []
        assert not ranker.similarities.numpy()[:2].any()
        state = ranker.encode({REC_ITEMS: histories([], [1])})
        np.testing.assert_array_equal(ranker.score(state, ranker.prepare(tf.range(42)[None])), np.zeros((2, 42)))

    def test_it_takes_one_worker(self):
        ranker = make_ranker(config_of("item_neighbours"))
        with pytest.raises(ValueError, match="should be counted by one worker. Received: 2."):
            ranker.fit_counts(random_logs()[0], lambda counts: 2 * counts)
