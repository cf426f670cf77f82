"""UniSAR, SESRec, UnifiedSSR and USER against their equations in NumPy, float64."""

import csv
import functools

import numpy as np
import pytest
import tensorflow as tf

from model.baselines.sesrec import split, triplet_loss
from model.baselines.unified_ssr import sinusoids
from model.baselines.unisar import other_kind
from model.config import SupervisedConfig
from model.contract import CANDIDATES, QUERY, REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS, USER
from model.layers.co_attention import CoAttention
from model.layers.contrast import HistoryContrast, QueryItemContrast
from model.layers.progressive_experts import ProgressiveExperts
from model.layers.session_windows import SessionWindows
from model.ranker import SearchLearner
from model.registry import make_config, make_ranker
from model.training import supervised
from tests.support.random_logs import random_batch, random_logs, randomise, small_config

SIZES = {
    name: getattr(small_config(), name)
    for name in ("num_users", "num_items", "num_words", "dim", "rec_length", "search_length", "words_per_search",
                 "items_per_search")
}  # fmt: skip
NARROW = {
    "sesrec": {"mlp_units": (9, 4)},
    "unified_ssr": {},
    "unisar": {
        "specific_experts": 3,
        "shared_experts": 2,
        "expert_units": 5,
        "tower_units": (7, 6),
        "mlp_units": (9, 4),
    },
    "user_model": {"mlp_units": (9, 4)},
}
JOINT = ("unified_ssr", "unisar", "user_model")
KINDS = ("sesrec", *JOINT)


@functools.cache
def model_of(kind, seed=0, **changes):
    """With noise for weights; tests share it, so that none may change it."""
    fields = {**SIZES, "kind": kind, "dropout": 0.0, **NARROW[kind], **changes}
    return randomise(make_ranker(make_config(fields)), seed)


def tensors(batch):
    return {name: tf.constant(values) for name, values in batch.items()}


def batch_of(model, searched=False, **sizes):
    batch = random_batch(model.config, **sizes)
    if searched:
        size = len(batch[USER])
        batch[QUERY] = np.random.default_rng(5).integers(1, 12, (size, SIZES["words_per_search"])).astype(np.int32)
        batch[QUERY][::2, 2:] = 0
    return tensors(batch)


def scores(model, batch):
    state = model.read(model.embed(batch))
    return model.score(state, model.prepare(batch[CANDIDATES])).numpy()


def float64(weight):
    return np.asarray(weight, np.float64)


def relu(x):
    return np.maximum(x, 0)


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(layer, x):
    return x @ float64(layer.kernel) + float64(layer.bias)


def normalise(layer, x):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon)
    return normal * float64(layer.gamma) + float64(layer.beta)


def attend(layer, queries, values, seen):
    """Attention of several heads, one row: `seen` says for each query which values; nothing gives 0."""
    kernels = {
        name: (float64(part.kernel), float64(part.bias))
        for name in ("query", "key", "value", "output")
        for part in [getattr(layer, f"_{name}_dense")]
    }
    out = np.zeros_like(queries)
    for place, sees in enumerate(seen):
        if not np.any(sees):
            continue
        total = kernels["output"][1].copy()
        for head in range(kernels["query"][0].shape[1]):
            q, k, v = (
                x @ kernels[name][0][:, head] + kernels[name][1][head]
                for name, x in (("query", queries[place]), ("key", values[sees]), ("value", values[sees]))
            )
            total += softmax(k @ q / np.sqrt(len(q))) @ v @ kernels["output"][0][head]
        out[place] = total
    return out


def block(layer, x, seen, memory=None, memory_seen=None, activation=relu):
    """A Transformer block of one row, post or pre norm; with a memory a decoder's."""

    def before(norm, y):
        return normalise(norm, y) if layer.norm == "pre" else y

    def after(norm, y):
        return normalise(norm, y) if layer.norm == "post" else y

    y = before(layer.attention_norm, x)
    x = after(layer.attention_norm, x + attend(layer.attention, y, y, seen))
    if memory is not None:
        y = before(layer.memory_norm, x)
        x = after(layer.memory_norm, x + attend(layer.memory_attention, y, memory, memory_seen))
    y = before(layer.feed_forward_norm, x)
    return after(layer.feed_forward_norm, x + dense(layer.out, activation(dense(layer.hidden, y))))


def interest(attention, states, item):
    if not len(states):
        return np.zeros_like(item)
    return softmax(states @ float64(attention.kernel) @ item / np.sqrt(len(item))) @ states


def mlp(layer, x):
    for one in layer.hidden:
        x = relu(dense(one, x))
    return x if layer.last is None else dense(layer.last, x)[..., 0]


class Row:
    """A row of a batch in float64: events that are there, without padding."""

    def __init__(self, model, batch, row):
        def mean(table, ids):
            ids = ids[ids != 0]
            return float64(table.table)[ids].mean(0) if len(ids) else np.zeros(SIZES["dim"])

        one = {name: values.numpy()[row] for name, values in batch.items()}
        real = [search for search in range(len(one[SEARCH_WORDS]))
                if one[SEARCH_WORDS][search].any() or one[SEARCH_ITEMS][search].any()]  # fmt: skip
        self.rec = float64(model.items.table)[one[REC_ITEMS][one[REC_ITEMS] != 0]]
        self.queries, self.clicked = (
            np.array([mean(table, one[name][search]) for search in real]).reshape(-1, SIZES["dim"])
            for table, name in ((model.words, SEARCH_WORDS), (model.items, SEARCH_ITEMS))
        )
        self.user = float64(model.users.table)[one[USER]] if USER in model.inputs else None
        self.items = float64(model.items.table)[one[CANDIDATES]]
        self.query = mean(model.words, one[QUERY]) if QUERY in one else None
        if REC_TIMES not in one:
            return
        times = [(time, 0, place) for place, time in enumerate(one[REC_TIMES][one[REC_ITEMS] != 0])]
        times += [(one[SEARCH_TIMES][search], 1, place) for place, search in enumerate(real)]
        order = sorted(times)
        self.rec_places, self.search_places = (
            np.array([order.index(event) for event in times if event[1] == kind], int) for kind in (0, 1)
        )

    @property
    def searches(self):
        return self.queries + self.clicked


def newest(layer, count):
    """The last positions of a table."""
    table = float64(layer.positions)
    return table[len(table) - count :]


# UniSAR


@pytest.mark.parametrize("clicks, searches", [([0, 1, 1], [0, 1]), ([0, 0, 0], [1, 1]), ([1, 1, 1], [0, 0])])
def test_unisars_mask_lets_an_event_see_real_ones_of_the_other_kind(clicks, searches):
    found = other_kind(tf.constant([clicks]) > 0, tf.constant([searches]) > 0).numpy()[0]
    real, kinds = [*clicks, *searches], "ccc" + "ss"
    for place in range(5):
        expected = [bool(real[other]) and kinds[other] != kinds[place] for other in range(5)]
        assert found[place].tolist() == expected


def transitions(model, batch):
    return model.transitions(model.embed(batch))


def test_unisars_transitions_know_what_they_should_and_nothing_else():
    model = model_of("unisar")
    batch = batch_of(model, size=6)  # the first and the last row have no padding
    moved = {}
    for name, column in ((REC_ITEMS, 2), (SEARCH_ITEMS, 3)):
        changed = batch[name].numpy()
        changed[5, column] = (changed[5, column] + 1) % 9 + 10
        before, after = transitions(model, batch), transitions(model, {**batch, name: tf.constant(changed)})
        for part in ("search_to_rec", "rec_to_rec", "rec_to_search", "search_to_search"):
            apart = np.abs(getattr(after, part)[5] - getattr(before, part)[5]).max(1) > 1e-4
            moved[name, part] = np.flatnonzero(apart).tolist()
            np.testing.assert_array_equal(getattr(after, part)[:5], getattr(before, part)[:5])
    assert moved == {
        # A click moves itself (the residual sum), what looks at clicks, and nothing else.
        (REC_ITEMS, "search_to_rec"): [2],
        (REC_ITEMS, "rec_to_rec"): [0, 1, 2, 3, 4, 5],
        (REC_ITEMS, "rec_to_search"): [0, 1, 2, 3, 4],
        (REC_ITEMS, "search_to_search"): [],
        (SEARCH_ITEMS, "search_to_rec"): [0, 1, 2, 3, 4, 5],
        (SEARCH_ITEMS, "rec_to_rec"): [],
        (SEARCH_ITEMS, "rec_to_search"): [3],
        (SEARCH_ITEMS, "search_to_search"): [0, 1, 2, 3, 4],
    }


def plain_unisar(model, row):
    """Both fused histories of a row, and its four transitions."""
    count, clicks = len(row.rec) + len(row.searches), len(row.rec)
    events = np.concatenate([row.rec, row.searches])
    kinds = np.arange(count) >= clicks
    places = np.concatenate([row.rec_places, row.search_places])
    crossed = block(
        model.merged_encoder.block_0,
        events + newest(model.merged_positions, count)[places],
        kinds[:, None] != kinds[None],
    )
    own = [
        block(encoder.block_0, events + newest(positions, len(events)), np.ones([len(events)] * 2, bool))
        for encoder, events, positions in (
            (model.rec_encoder, row.rec, model.rec_positions),
            (model.search_encoder, row.searches, model.search_positions),
        )
    ]
    other = [crossed[:clicks], crossed[clicks:]]
    both = bool(clicks and count - clicks)
    fused = [
        block(decoder, x, np.ones([len(x)] * 2, bool), memory, np.full([len(x)] * 2, both))
        for decoder, x, memory in zip((model.rec_decoder_0, model.search_decoder_0), own, other, strict=True)
    ]
    return fused, own, other


@pytest.mark.parametrize("searched", [False, True])
def test_unisar_is_what_its_paper_says(searched):
    model = model_of("unisar")
    batch = batch_of(model, searched, size=10)
    found = scores(model, batch)
    for number in range(10):
        row = Row(model, batch, number)
        fused, _, _ = plain_unisar(model, row)
        query = row.query if searched else float64(model.rec_query)
        for item, score in zip(row.items, found[number], strict=True):
            interests = [
                interest(attention, states, item)
                for attention, states in zip((model.rec_attention, model.search_attention), fused, strict=True)
            ]
            x = plain_experts(model.experts, np.concatenate([*interests, item, row.user, query]), int(searched))
            np.testing.assert_allclose(
                score, mlp((model.rec_head, model.search_head)[searched], x), rtol=1e-4, atol=1e-4
            )


def test_unisars_losses_are_weighted_sums():
    model = model_of("unisar", alignment_weight=0.3, history_weight=0.2)
    batch, weights = batch_of(model, size=10), np.random.default_rng(1).integers(0, 2, (10, 7)).astype(np.float32)
    weights[:, 0] = 1
    embedded = model.embed(batch)
    logs = {name: float(value) for name, value in model.losses(embedded, tf.constant(weights), None).items()}
    logits = float64(scores(model, batch))
    pairs = np.logaddexp(0, np.where(np.arange(7) == 0, -logits, logits))
    np.testing.assert_allclose(logs["rec_loss"], (pairs * weights).sum() / weights.sum(), rtol=1e-5)
    rows = [Row(model, batch, number) for number in range(10)]
    found = [plain_unisar(model, row) for row in rows]
    valid = [bool(len(row.rec) and len(row.searches)) for row in rows]
    assert 0 < sum(valid) < 10
    history = sum(
        plain_history_contrast(
            layer,
            [other[side].mean(0) for (_, _, other), good in zip(found, valid, strict=True) if good],
            [own[side].mean(0) for (_, own, _), good in zip(found, valid, strict=True) if good],
        )
        for side, layer in enumerate((model.rec_contrast, model.search_contrast))
    )
    np.testing.assert_allclose(logs["history_loss"], history, rtol=1e-4)
    alignment = plain_alignment(model.alignment, [row.queries for row in rows], [row.clicked for row in rows])
    np.testing.assert_allclose(logs["alignment_loss"], alignment, rtol=1e-4)
    total = logs["rec_loss"] + 0.3 * logs["alignment_loss"] + 0.2 * logs["history_loss"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def plain_experts(layer, x, task):
    weights = softmax(dense(getattr(layer, f"gate_{task}"), x))
    values = [
        relu(dense(group, x)).reshape(-1, layer.units)
        for group in (getattr(layer, f"experts_{task}"), layer.shared_experts)
    ]
    return mlp(getattr(layer, f"tower_{task}"), weights @ np.concatenate(values))


@pytest.mark.parametrize("task", [0, 1, 2])
def test_progressive_experts_weigh_their_own_and_the_shared_ones(task):
    layer = ProgressiveExperts(4, 3, specific=2, shared=3, units=5, tower_units=(6, 2), dropout=0.0)
    layer.build(None)
    for other in range(3):  # what belongs to the other tasks has no say
        for name in ("experts", "gate", "tower"):
            for weight in getattr(layer, f"{name}_{other}").weights:
                weight.assign(np.random.default_rng(3).normal(size=weight.shape) if other == task else weight * np.nan)
    x = np.random.default_rng(4).normal(size=(2, 3, 4))
    expected = [[plain_experts(layer, one, task) for one in row] for row in x]
    np.testing.assert_allclose(layer(tf.constant(x, tf.float32), task=task), expected, rtol=1e-5, atol=1e-6)


def contrast_of(layer, a, b):
    return np.tanh(a @ float64(layer.kernel) @ b) / np.exp(float64(layer.log_temperature))


def plain_history_contrast(layer, one, other):
    z, lost = [*one, *other], []
    for i, anchor in enumerate(z):
        logits = {j: contrast_of(layer, anchor, z[j]) for j in range(len(z)) if j != i}
        lost.append(np.log(sum(map(np.exp, logits.values()))) - logits[(i + len(one)) % len(z)])
    return np.mean(lost)


def plain_alignment(layer, queries, items):
    """Queries and items of the searches of each row, `[Ls, d]`."""
    pairs = [
        [(q, i) for q, i in zip(*row, strict=True) if q.any() and i.any()] for row in zip(queries, items, strict=True)
    ]
    others, lost = [row[-1] for row in pairs if row], []
    for query, item in sum(pairs, []):
        of_items = [contrast_of(layer, query, other) for _, other in others if not np.allclose(other, item)]
        of_queries = [contrast_of(layer, item, other) for other, _ in others if not np.allclose(other, query)]
        own = [contrast_of(layer, query, item), contrast_of(layer, item, query)]
        for positive, negatives in zip(own, (of_items, of_queries), strict=True):
            lost.append(np.log(np.exp([positive, *negatives]).sum()) - positive)
    return np.mean(lost)


def built(layer):
    layer.build(None)
    for seed, weight in enumerate(layer.trainable_variables):
        weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
    return layer


def test_temperatures_begin_where_the_config_says():
    layer = HistoryContrast(4, 0.1)
    layer.build(None)
    np.testing.assert_allclose(np.exp(layer.log_temperature), 0.1, rtol=1e-6)


def test_the_contrast_of_histories_takes_valid_rows_alone():
    layer, rng = built(HistoryContrast(4, 0.1)), np.random.default_rng(7)
    one, other = rng.normal(size=(2, 5, 4))
    valid = np.array([True, False, True, True, False])
    found = layer(*(tf.constant(x, tf.float32) for x in (one, other)), tf.constant(valid))
    np.testing.assert_allclose(found, plain_history_contrast(layer, one[valid], other[valid]), rtol=1e-5)
    assert float(layer(*(tf.constant(x, tf.float32) for x in (one, other)), tf.constant(valid & False))) == 0


def test_the_contrast_of_queries_takes_no_equal_pair_for_a_negative():
    layer, rng = built(QueryItemContrast(4, 0.1)), np.random.default_rng(8)
    queries, items = rng.normal(size=(2, 5, 3, 4))
    queries[0, 2] = items[1, 2] = 0  # without words, without a click
    queries[2] = 0
    queries[3, 2], items[4, 2] = queries[4, 2], items[3, 0]
    found = layer(*(tf.constant(x, tf.float32) for x in (queries, items)))
    np.testing.assert_allclose(found, plain_alignment(layer, queries, items), rtol=1e-5)
    assert float(layer(tf.zeros([2, 3, 4]), tf.ones([2, 3, 4]))) == 0


def test_the_contrast_of_queries_knows_equal_ones_in_spite_of_rounding():
    """The mean of three times one word is not the word, to the last bit."""
    layer, rng = built(QueryItemContrast(48, 0.1)), np.random.default_rng(9)
    some = rng.normal(size=(8, 48)).astype(np.float32)
    some = np.concatenate([some, (some + some + some) / np.float32(3)])
    given = [tf.constant(some[rng.integers(0, 16, (30, 5))]) for _ in range(2)]
    compiled = tf.function(layer, jit_compile=True, autograph=False)
    expected = plain_alignment(layer, *(one.numpy().astype(np.float64) for one in given))
    np.testing.assert_allclose(layer(*given), expected, rtol=1e-5)
    np.testing.assert_allclose(compiled(*given), expected, rtol=1e-5)


# SESRec


def plain_co_attention(layer, rec, search):
    """Weights of the events of both sides, by loops."""
    kernel, of_rec, of_search = float64(layer.kernel), float64(layer.of_rec)[:, 0], float64(layer.of_search)[:, 0]
    affinity = np.array([[np.tanh(r @ kernel @ s) for s in search] for r in rec]).reshape(len(rec), len(search))
    of_clicks = [sum(affinity[i, j] * (s @ of_search) for j, s in enumerate(search)) for i in range(len(rec))]
    of_searches = [sum(affinity[i, j] * (r @ of_rec) for i, r in enumerate(rec)) for j in range(len(search))]
    return [softmax(np.array(scores, float)) if len(scores) else np.zeros(0) for scores in (of_clicks, of_searches)]


def plain_split(weights):
    similar = [place for place, weight in enumerate(weights) if weight * len(weights) > 1 - 1e-5]
    dissimilar = [place for place in range(len(weights)) if place not in similar]
    return similar or list(range(len(weights))), dissimilar or list(range(len(weights)))


def plain_triplet(states, weights, margin):
    similar, dissimilar = plain_split(weights)
    anchor = sum(weight * state for weight, state in zip(weights, states, strict=True))
    near, far = (np.linalg.norm(anchor - states[places].mean(0)) for places in (similar, dissimilar))
    return max(0, near - far + margin)


@pytest.mark.parametrize("lengths", [(5, 4), (1, 4), (5, 0), (0, 3)])
def test_co_attention_of_events_that_are_there(lengths):
    layer, rng = built(CoAttention(4)), np.random.default_rng(2)
    rec, search = rng.normal(size=(1, 5, 4)), rng.normal(size=(1, 4, 4))  # padding is noise
    masks = [np.arange(width)[None] >= width - length for width, length in zip((5, 4), lengths, strict=True)]
    found = layer(*(tf.constant(x, tf.float32) for x in (rec, search)), *map(tf.constant, masks))
    expected = plain_co_attention(layer, rec[0, 5 - lengths[0] :], search[0, 4 - lengths[1] :])
    for of_side, right, length in zip(found, expected, lengths, strict=True):
        width = of_side.shape[1]
        np.testing.assert_allclose(of_side[0], np.pad(right, (width - length, 0)), rtol=1e-5)


@pytest.mark.parametrize(
    "weights, similar, dissimilar",
    [
        ([0, 0.5, 0.3, 0.2], [1], [2, 3]),
        ([0, 1 / 3, 1 / 3, 1 / 3], [1, 2, 3], [1, 2, 3]),  # all agree: all stand for the others, too
        ([0, 0.1, 0.2, 0.7], [3], [1, 2]),
        ([0, 0, 0, 1], [3], [3]),
        ([0, 0, 0, 0], [], []),
    ],
)
def test_events_of_at_least_the_mean_weight_are_similar(weights, similar, dissimilar):
    mask = tf.constant([[weight > 0 for weight in weights]])
    found = split(tf.constant([weights], tf.float32), mask)
    assert [np.flatnonzero(one[0]).tolist() for one in found] == [similar, dissimilar]


def test_equal_weights_are_similar_however_they_are_rounded():
    for length in range(1, 60):
        weights = np.full([1, length], (1 - 1e-6) / length, np.float32)
        weights[0, 0] = (1 + 1e-6) / length
        assert split(weights, tf.ones([1, length], tf.bool))[0].numpy().all()


def test_the_triplet_loss_of_each_row():
    rng = np.random.default_rng(3)
    states, weights = rng.normal(size=(4, 5, 3)), softmax(rng.normal(size=(4, 5)))
    mask = np.ones([4, 5], bool)
    mask[3] = False
    similar, dissimilar = split(tf.constant(weights, tf.float32), tf.constant(mask))
    arguments = [tf.cast(one, tf.float32) for one in (states, weights, similar, dissimilar)]
    expected = [plain_triplet(states[row], weights[row], 5.0) for row in range(3)]
    assert min(expected) > 0
    np.testing.assert_allclose(triplet_loss(*arguments, margin=5.0), [*expected, 0], rtol=1e-5)
    assert (triplet_loss(*arguments, margin=-9.0).numpy() == 0).all()


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def test_sesrec_is_what_its_paper_says():
    model = model_of("sesrec", num_blocks=2, alignment_weight=0.3, triplet_weight=0.2, triplet_margin=0.4)
    batch = batch_of(model, size=10)
    found, triplets = scores(model, batch), []
    rows = [Row(model, batch, number) for number in range(10)]
    for row, of_row in zip(rows, found, strict=True):
        sides = []
        for encoder, positions, events in (
            (model.rec_encoder, model.rec_positions, row.rec),
            (model.search_encoder, model.search_positions, row.searches),
        ):
            x, everything = events + newest(positions, len(events)), np.ones([len(events)] * 2, bool)
            for one in encoder.blocks:
                x = block(one, x, everything, activation=leaky)
            sides.append(x)
        weights = plain_co_attention(model.co_attention, *sides)
        attentions = (model.rec_attention, model.search_attention)
        triplets.append(sum(plain_triplet(*side, 0.4) for side in zip(sides, weights, strict=True) if len(side[1])))
        for item, score in zip(row.items, of_row, strict=True):
            interests = [
                interest(attention, states[places], item)
                for attention, states, of_side in zip(attentions, sides, weights, strict=True)
                for places in (list(range(len(states))), *plain_split(of_side))
            ]
            expected = mlp(model.head, np.concatenate([*interests, row.user, item]))
            np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4)
    logs = model.losses(model.embed(batch), tf.ones([10, 7]), SupervisedConfig())
    np.testing.assert_allclose(logs["triplet_loss"], np.mean(triplets), rtol=1e-4)
    alignment = plain_alignment(model.alignment, [row.queries for row in rows], [row.clicked for row in rows])
    np.testing.assert_allclose(logs["alignment_loss"], alignment, rtol=1e-4)
    total = logs["rec_loss"] + 0.3 * logs["alignment_loss"] + 0.2 * logs["triplet_loss"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


# UnifiedSSR


def plain_windows(layer, states):
    """Events with the means of their windows, and these means: one row without padding."""
    length, count, belongs = len(states), layer.windows, []
    for part in range(count):
        inside = [
            place for place in range(length) if part * length // count <= place < -(-(part + 1) * length // count)
        ]
        move, reach = relu(states[inside].mean(0)) @ float64(layer.kernel) + [0, float64(layer.width)]
        middle = (part + 0.5) / count + np.tanh(move) / count
        half = max(0, np.tanh(reach)) / count
        left, right = (min(max(edge, 0), 1) * length for edge in (middle - half, middle + half))
        belongs.append(
            [sigmoid((place + 0.5 - left) / 0.5) * sigmoid((right - place - 0.5) / 0.5) for place in range(length)]
        )
    belongs = np.array(belongs)
    means = np.array([of_window @ states / of_window.sum() for of_window in belongs])
    added = [of_event @ means / max(of_event.sum(), 1) for of_event in belongs.T]
    return states + added, means


@pytest.mark.parametrize("windows", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 7])
def test_windows_follow_their_offsets(windows, length):
    layer, rng = built(SessionWindows(4, windows)), np.random.default_rng(6)
    layer.width.assign(0.6)
    states = rng.normal(size=(1, 7, 4))  # padding is noise
    mask = np.arange(7)[None] >= 7 - length
    found, means = layer(tf.constant(states, tf.float32), tf.constant(mask))
    expected, right = plain_windows(layer, states[0, 7 - length :])
    np.testing.assert_allclose(found[0, 7 - length :], expected, rtol=1e-4)
    np.testing.assert_allclose(means[0], right, rtol=1e-4)


def test_windows_begin_as_the_middle_half_of_each_part():
    layer = SessionWindows(4, 2)
    layer.build(None)
    belongs = layer.membership(tf.zeros([1, 80, 4]), tf.ones([1, 80], tf.bool)).numpy()[0]
    assert [np.flatnonzero(one > 0.5)[[0, -1]].tolist() for one in belongs] == [[10, 29], [50, 69]]


def test_gradients_reach_the_offsets_of_windows():
    layer = built(SessionWindows(4, 2))
    layer.width.assign(0.6)
    states = tf.constant(np.random.default_rng(6).normal(size=(2, 7, 4)), tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(states, tf.ones([2, 7], tf.bool))[0][:, -1] ** 2)
    for gradient in tape.gradient(value, [layer.kernel.value, layer.width.value]):
        assert np.abs(gradient).max() > 1e-4


def test_positions_are_waves_that_begin_at_the_newest_event():
    found = sinusoids(5, 6).numpy()
    for row in range(5):
        for pair in range(3):
            angle = (4 - row) / 10_000 ** (2 * pair / 6)
            np.testing.assert_allclose(found[row, 2 * pair : 2 * pair + 2], [np.sin(angle), np.cos(angle)], atol=1e-6)
    assert sinusoids(2, 3).shape == (2, 3)


def plain_branches(model, row):
    """States and window means of each branch of a row; None for one without events."""
    root, dim = np.sqrt(SIZES["dim"]), SIZES["dim"]
    events = {"products": row.rec}
    if row.query is not None:
        events = {"products": np.concatenate([np.zeros([1, dim]), row.clicked]), "queries": [*row.queries, row.query]}
    count = len(events["products"])
    earlier = np.tril(np.ones([count, count], bool))
    seen = {name: earlier.copy() for name in events}
    if row.query is not None:
        seen["products"][:, 0] = False
    x = {
        name: (np.array(one) + row.user) * root + float64(sinusoids(9, dim))[9 - count :]
        for name, one in events.items()
    }
    for layer in model.blocks:
        other = {"products": "queries" if row.query is not None else "products", "queries": "products"}
        x = {name: block(layer, x[name], seen[name], x[other[name]], seen[other[name]]) for name in x}
    out = {}
    for name, one in x.items():
        states = normalise(model.norm, one)[int(name == "products" and row.query is not None) :]
        out[name] = plain_windows(model.windows, states) if len(states) else None
    return out


@pytest.mark.parametrize("searched", [False, True])
def test_unified_ssr_is_what_its_paper_says(searched):
    model = model_of("unified_ssr", session_weight=0.3)
    batch, weights = batch_of(model, searched, size=10), np.ones([10, 7], np.float32)
    weights[3, 2:5] = weights[8, 1] = 0
    found, lost, sessions = scores(model, batch), [], []
    share = 0.1 + 0.8 * sigmoid(float64(model.balance))
    for number in range(10):
        row = Row(model, batch, number)
        branches = plain_branches(model, row)
        logits = {
            name: row.items @ (float64(model.newcomer) if one is None else one[0][-1]) for name, one in branches.items()
        }
        shares = {"products": share, "queries": 1 - share} if searched else {"products": 1.0}
        expected = sum(shares[name] * one for name, one in logits.items())
        np.testing.assert_allclose(found[number], expected, rtol=1e-4, atol=1e-4)
        of_pairs = {name: np.logaddexp(0, np.where(np.arange(7) == 0, -o, o)) for name, o in logits.items()}
        lost.append(sum(shares[name] * (one * weights[number]).sum() for name, one in of_pairs.items()))

        def cosine(a, b):
            return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

        sessions.append(0)
        if len(row.clicked if searched else row.rec) >= 2:
            means = [one[1] for one in branches.values()]
            sessions[-1] = sum(abs(cosine(*of_branch)) for of_branch in means)
            if searched:
                sessions[-1] -= np.mean([cosine(a, b) for a, b in zip(*means, strict=True)])
    losses = model.search_losses if searched else model.losses
    logs = {name: float(one) for name, one in losses(model.embed(batch), tf.constant(weights), None).items()}
    names = ("answer_loss", "search_session_loss") if searched else ("rec_loss", "session_loss")
    np.testing.assert_allclose([logs[name] for name in names], [np.mean(lost), np.mean(sessions)], rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], np.mean(lost) + 0.3 * np.mean(sessions), rtol=1e-4)


@pytest.mark.parametrize("searched", [False, True])
def test_unified_ssr_knows_at_each_place_what_is_older(searched):
    model = model_of("unified_ssr")
    batch = batch_of(model, searched)
    name, column = (SEARCH_ITEMS, 2) if searched else (REC_ITEMS, 3)
    changed = batch[name].numpy()
    changed[0, column] = changed[0, column] % 9 + 10  # the first row has no padding
    before, after = (model.encoded(model.embed({**batch, name: tf.constant(ids)})) for ids in (batch[name], changed))
    for sequence, (states, mask) in after.items():
        moved = mask[0] & (np.abs(states[0] - before[sequence][0][0]).max(1) > 1e-4)
        # What was clicked in a search stands one place after its query.
        assert np.flatnonzero(moved).tolist() == [3, 4, 5]


# USER


@pytest.mark.parametrize("searched", [False, True])
def test_user_is_what_stands_for_its_paper(searched):
    model = model_of("user_model", num_blocks=2)
    batch = batch_of(model, searched, size=10)
    types, found = float64(model.types), scores(model, batch)
    for number in range(10):
        row = Row(model, batch, number)
        query = row.query if searched else float64(model.empty_query)
        count = len(row.rec) + len(row.searches) + 1
        x = np.zeros([count, SIZES["dim"]])
        x[row.rec_places], x[row.search_places], x[-1] = row.rec + types[0], row.searches + types[1], query + types[2]
        x += newest(model.positions, count)
        for layer in model.encoder.blocks:
            x = block(layer, x, np.ones([count] * 2, bool))
        for item, score in zip(row.items, found[number], strict=True):
            parts = [interest(model.attention, x[:-1], item), x[-1], item, x[-1] * item]
            np.testing.assert_allclose(score, mlp(model.head, np.concatenate(parts)), rtol=1e-4, atol=1e-4)


# All


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", [(REC_ITEMS,), (SEARCH_WORDS, SEARCH_ITEMS), (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)])
def test_losses_and_gradients_are_finite_without_a_history(kind, empty):
    model = model_of(kind)
    for searched in (False, True) if isinstance(model, SearchLearner) else (False,):
        batch = batch_of(model, searched)
        batch |= {name: batch[name] * 0 for name in empty}
        with tf.GradientTape() as tape:
            losses = model.search_losses if searched else model.losses
            logs = losses(model.embed(batch), tf.ones([5, 7]), SupervisedConfig())
        gradients = tape.gradient(logs["loss"], model.dense_variables)
        assert all(np.isfinite(value).all() for value in logs.values())
        assert all(np.isfinite(one).all() for one in gradients if one is not None)


@pytest.mark.parametrize("kind", JOINT)
def test_a_batch_of_searches_scores_as_its_rows(kind):
    model = model_of(kind)
    batch = batch_of(model, True)
    rows = [scores(model, {name: values[row : row + 1] for name, values in batch.items()}) for row in range(5)]
    np.testing.assert_allclose(scores(model, batch), np.concatenate(rows), rtol=1e-5, atol=1e-5)
    assert np.abs(scores(model, batch) - scores(model, {**batch, QUERY: batch[QUERY][::-1]})).max() > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("kind", JOINT)
def test_searches_are_learnt_from_beside_clicks(kind, tmp_path):
    config = make_config({**SIZES, "kind": kind, "dropout": 0.0, **NARROW[kind]})
    settings = SupervisedConfig(batch_size=64, learning_rate=0.02, max_epochs=6, patience=6)
    folders = {"checkpoint_dir": str(tmp_path / "c"), "log_dir": str(tmp_path / "l")}
    supervised.train(config, settings, *random_logs(), **folders)
    with open(tmp_path / "l" / "supervised.csv") as file:
        losses = [float(row["search_loss"]) for row in csv.DictReader(file)]
    assert np.mean(losses[-2:]) < 0.8 * losses[0]
