"""Gradients of both stages against finite differences of the losses in NumPy, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from model.config import SupervisedConfig
from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS
from model.layers.reasoning import Sides
from model.lcr_ser import LcrSer
from model.objectives import grpo
from model.objectives.losses import l2_penalty
from tests.support import reference
from tests.support.random_logs import random_batch, randomise, small_config, tensors
from tests.support.reference_weights import reference_weights, requests_of, settings_of, variables_of

HISTORY = (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)
STEP = 1e-6
"""Half the width of a central difference. With float64 the rounding error is then some 1e-9 of the loss, and so short a
step carries no ReLU or hinge of these fixed seeds across its kink."""


def tiny_model(**changes):
    config = small_config(
        num_users=5,
        num_items=9,
        num_words=6,
        dim=4,
        rec_length=3,
        search_length=3,
        words_per_search=2,
        items_per_search=2,
        mlp_units=(5,),
        **changes,
    )
    return randomise(LcrSer(config, dtype="float64"), seed=1)


def tiny_batch(model):
    """Two clicks and two searches, clicks alone, searches alone, and nothing."""
    batch = {name: value[[4, 4, 4, 4]] for name, value in random_batch(model.config, candidates=3).items()}
    for row, names in ((1, (SEARCH_WORDS, SEARCH_ITEMS)), (2, (REC_ITEMS,)), (3, HISTORY)):
        for name in names:
            batch[name][row] = 0
    return batch


def assert_gradients_equal_differences(model, loss, loss_of_weights, seed):
    """Compares the tape with finite differences at a random coordinate of every weight; it may be a row not looked up.

    Args:
        model: in float64.
        loss: gives the loss of the model, a tensor.
        loss_of_weights: gives the same of weights as `reference` names them, a float.
        seed: of the coordinates.
    """
    variables, rng = variables_of(model), np.random.default_rng(seed)
    sources = [variable.value for variable in variables.values()]
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    arrays = {name: variable.numpy() for name, variable in variables.items()}
    assert float(value) == pytest.approx(loss_of_weights(reference_weights(arrays)), rel=1e-9)
    for (name, array), gradient in zip(arrays.items(), map(tf.convert_to_tensor, gradients), strict=True):
        at = tuple(rng.integers(array.shape))
        values = []
        for shift in (STEP, -STEP):
            shifted = array.copy()
            shifted[at] += shift
            values.append(loss_of_weights(reference_weights({**arrays, name: shifted})))
        difference = (values[0] - values[1]) / (2 * STEP)
        assert gradient.numpy()[at] == pytest.approx(difference, rel=1e-5, abs=1e-8), f"{name}{list(at)}"


@pytest.mark.parametrize(
    ("seed", "distance", "changes"),
    [
        (1, "cosine", {}),
        (2, "cosine", {}),
        (3, "euclidean", {"post_norm": False, "literal_eq5": True}),
        (4, "euclidean", {"aggregation": "mean", "reasoning_steps": 1}),
    ],
    ids=str,
)
def test_gradient_of_the_supervised_loss(seed, distance, changes):
    """L_Total of Eq. (12): Eq. (11), both sides of Eq. (9), and the L2 of kernels and of the rows looked up."""
    model = tiny_model(**changes)
    config = SupervisedConfig(tcl_distance=distance, tcl_weight=0.7, l2_weight=0.01)
    batch, settings = tiny_batch(model), settings_of(model.config)
    looked_up = {
        "users": np.unique(batch["user"]),
        "items": np.unique(np.concatenate([batch[name].ravel() for name in (REC_ITEMS, SEARCH_ITEMS, CANDIDATES)])),
        "words": np.unique(batch[SEARCH_WORDS]),
    }

    def loss():
        embedded = model.embed(tensors(batch))
        kernels = [variable.value for variable in model.dense_variables if len(variable.shape) > 1]
        value = model.losses(embedded, tf.ones([4, 3], tf.float64), config)["loss"]
        return value + config.l2_weight * l2_penalty(kernels, embedded.rows)

    def loss_of_weights(weights):
        pairs, tcl_loss = [], 0.0
        for request in requests_of(batch):
            crossed = reference.scoring.reasoned(weights, request, **settings)
            plain = reference.scoring.reasoned(weights, request, **settings, cross=False)
            logits = reference.scoring.rank(weights, request, crossed, **settings)
            pairs += [(logit, float(column == 0)) for column, logit in enumerate(logits)]
            target = weights["items"][request["candidates"][0]]
            for with_cross, without in zip(crossed[2:], plain[2:], strict=True):
                tcl_loss += (
                    reference.losses.contrastive_loss(target, with_cross[-1], without[-1], config.tcl_margin, distance)
                    / 4
                )
        norm = reference.losses.squared_norm(
            [
                *(array for name, array in weights.items() if array.ndim == 2 and name not in looked_up),
                *(weights[name][rows[rows > 0]] for name, rows in looked_up.items()),
            ]
        )
        rec_loss = reference.losses.recommendation_loss(pairs)
        return reference.losses.total_loss(rec_loss, tcl_loss, norm, config.tcl_weight, config.l2_weight)

    assert_gradients_equal_differences(model, loss, loss_of_weights, seed)


@pytest.mark.parametrize(
    ("seed", "policy", "temperature", "clip_range"), [(5, "softmax", 1.0, 0.0), (6, "sigmoid", 0.6, 0.2)]
)
def test_gradient_of_the_group_objective(seed, policy, temperature, clip_range):
    """J of Eq. (15); advantages and the probabilities of the old and the reference policy are constants."""
    model = tiny_model(post_norm=policy == "softmax")
    batch, settings, rng = tiny_batch(model), settings_of(model.config), np.random.default_rng(2)
    noise = rng.normal(size=(2, 4, 2, 4))
    noise[:, :, 0] = 0.0
    valid = np.array([[True, True, True], [True, False, True], [True, True, True], [True, True, False]])
    advantage = rng.normal(size=(4, 2))
    shift_of_old, shift_of_reference = rng.normal(0.0, 0.5, (2, 4, 2))

    def log_probability():
        embedded = model.embed(tensors(batch))
        histories = model.read(embedded)
        logits = model.rank(embedded, histories, model.reason(histories, noise=Sides(*noise)))
        return grpo.target_log_probability(logits, valid, policy, temperature)

    start = log_probability().numpy()
    old, anchor = start + shift_of_old, start + shift_of_reference

    def objective():
        return grpo.objective(log_probability(), old, anchor, advantage, kl_weight=0.3, clip_range=clip_range).total

    def objective_of_weights(weights):
        groups = []
        for row, request in enumerate(requests_of(batch)):
            groups.append([])
            for n in range(2):
                logits = reference.scoring.logits(weights, request, noise=noise[:, row, n], **settings)
                current = reference.grpo.target_probability(logits, valid[row], policy, temperature)
                groups[-1].append((current, np.exp(old[row, n]), np.exp(anchor[row, n]), advantage[row, n]))
        return reference.grpo.objective(groups, 0.3, clip_range)

    assert_gradients_equal_differences(model, objective, objective_of_weights, seed)
