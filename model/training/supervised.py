"""Supervised stage: a Ranker's losses, for LCR-SER Eq. (9) to (12)."""

from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from model.config import RankerConfig, SupervisedConfig, check_compiles
from model.contract import CANDIDATES
from model.data.negatives import NegativeSampler
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.data.windows import SearchTargetWindows, TargetWindows
from model.objectives.losses import l2_penalty
from model.ops.placement import HOST, on_host
from model.ranker import Batch, Embedded, Logs, Ranker, SearchLearner, Share
from model.registry import make_ranker
from model.training import replicas
from model.training.ahead import DrawnAhead, Step
from model.training.batches import Batches, batches
from model.training.evaluation import evaluator_of
from model.training.loop import Schedule, TrainingLoop
from model.training.non_finite import batch_ids
from model.training.optimizers import SplitOptimizer, make_optimizer
from model.training.unknown import with_unknown

Drawn: TypeAlias = tuple[Batch, tf.Tensor]
"""A batch and the weights of its candidates, `[B, 1 + n]`."""

Draw: TypeAlias = Callable[[tf.Tensor, tf.Tensor], Drawn]

SEARCH_SEED = 1 << 20
"""What the draws for searches are away from those for clicks."""


def train(
    model_config: RankerConfig,
    config: SupervisedConfig,
    timelines: Timelines,
    requests: Requests,
    *,
    checkpoint_dir: str,
    log_dir: str,
    start: Ranker | None = None,
) -> Ranker:
    """Trains a model until NDCG@5 of the requests stops growing.

    A model without a trainable weight is evaluated as it is. A training that was cut off goes on from its last
    checkpoint when called again with the same arguments, to the same result. Nothing in `checkpoint_dir` is deleted.

    Args:
        model_config: the model's shape.
        config: the training's settings.
        timelines: the training log; of several workers, this one's part.
        requests: the eval split, likewise.
        checkpoint_dir, log_dir: of checkpoints, and of TensorBoard and `supervised.csv`; all workers see the same.
        start: a model to go on with, changed in place; None makes a new one. It is the first to be evaluated, so the
            result is never worse on the requests.

    Returns:
        The model with the weights of its best evaluation.

    Raises:
        FloatingPointError, OSError: as `TrainingLoop.run`.
        ValueError: if a worker has no target or no request.
    """
    keras.utils.set_random_seed(config.seed)
    model = start or make_ranker(model_config)
    model.fit_counts(timelines, replicas.sum_of_workers)
    tables = [layer.table for layer in model.tables]
    optimizer = make_optimizer(config.optimizer, tables, model.dense_variables, config.learning_rate)
    order = batches(timelines.last_targets(config.targets_per_user), config.batch_size, config.seed)
    searches = search_order(model, timelines, order.steps_per_epoch, config.seed)
    take_step = DrawnAhead(
        make_step(model, optimizer, config, timelines),
        lambda step: (order.batch(step), *(one.batch(step) for one in searches)),
    )
    total_steps = config.max_epochs * order.steps_per_epoch if model.trainable_variables else 0
    loop = TrainingLoop(
        Schedule(
            stage="supervised",
            total_steps=min(total_steps, config.max_steps or total_steps),
            eval_every=max(1, order.steps_per_epoch // config.evaluations_per_epoch),
            checkpoint_every=config.checkpoint_every,
            patience=config.patience,
            evaluate_first=start is not None,
            compiles=config.jit_compile,
        ),
        take_step,
        evaluator_of(model, requests, config.eval_batch_size, config.max_eval_requests),
        # Keras does not show its dropout seeds to a tf.train.Checkpoint.
        state={"optimizer": optimizer, "seeds": [variable.value for variable in model.non_trainable_variables]},
        weights=model.trainable_variables,
        batch_ids=lambda step: batch_ids(timelines, order.batch(step)),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
    )
    loop.run()
    return model


def search_order(model: Ranker, timelines: Timelines, steps_per_epoch: int, seed: int) -> list[Batches]:
    """The searches that a model learns from beside the clicks: all of them in an epoch, a part in each step.

    Returns:
        One order of positions in `search_items`, or none where the model does not learn from searches, or where no
        search of the log has a click.

    Raises:
        ValueError: if one worker has such a search and another has none.
    """
    if not isinstance(model, SearchLearner) or not model.search_weight:
        return []
    targets = timelines.search_targets
    count = int(np.concatenate(replicas.of_workers([len(targets)])).sum())
    return [batches(targets, -(-count // steps_per_epoch), seed)] if count else []


def make_step(model: Ranker, optimizer: SplitOptimizer, config: SupervisedConfig, timelines: Timelines) -> Step:
    """The compiled training step.

    Returns:
        Of the step, int64 scalar, and the positions of its targets, int32 `[B]`, and for a `SearchLearner` of those in
        searches, int32 `[S]`, `draw` samples negatives and gathers the windows; `learn` updates the model and gives
        the losses. Under a `tf.distribute.Strategy`, in whose scope model and optimizer were made, every worker gives
        the positions of its own rows in its own part of the log, and every replica works on its part of these: the
        step is that of all rows together. Only the L2 of a looked up row counts as much as the share of rows whose
        replicas looked it up.
    """
    check_compiles(model.config, config)
    draw_clicks = click_batches(model, config, timelines)
    learner = model if isinstance(model, SearchLearner) else None
    draw_searches = search_batches(model, config, timelines) if learner else None
    kernels = [variable.value for variable in model.dense_variables if len(variable.shape) > 1]

    def losses(embedded: Embedded, weights: tf.Tensor, share: Share) -> Logs:
        return model.losses(embedded, weights, config, share)

    def search_losses(embedded: Embedded, weights: tf.Tensor, share: Share) -> Logs:
        return learner.search_losses(embedded, weights, config, share)  # type: ignore[union-attr]  # called for one

    if config.jit_compile:
        # The lookups stay outside of XLA: their shapes depend on the ids, and it compiles anew for every shape.
        losses, search_losses = (tf.function(one, jit_compile=True, autograph=False) for one in (losses, search_losses))

    @tf.function(autograph=False)
    def draw(number: tf.Tensor, positions: tf.Tensor, searches: tf.Tensor | None = None) -> tuple[Drawn, ...]:
        clicks = draw_clicks(number, positions)
        return (clicks, draw_searches(number, searches)) if draw_searches and searches is not None else (clicks,)

    @replicas.compiled
    def learn(drawn: tuple[Drawn, ...]) -> Logs:
        (batch, weights), *of_searches = on_host(replicas.parts)(drawn)
        share = replicas.share(weights)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(optimizer.sources)
            embedded = model.embed(batch)
            logs = losses(embedded._replace(rows=()), weights, share)
            rows = embedded.rows
            for searched, search_weights in of_searches:
                embedded = model.embed(searched)
                found = search_losses(embedded._replace(rows=()), search_weights, replicas.share(search_weights))
                logs = {**found, **logs, "search_loss": found["loss"]}
                logs["loss"] += learner.search_weight * found["loss"]  # type: ignore[union-attr]  # of one alone
                rows = (*rows, *embedded.rows)
            logs["l2_loss"] = l2_penalty(kernels, rows) * share.rows
            logs["loss"] += config.l2_weight * logs["l2_loss"]
        logs["missing_negatives"] = tf.reduce_mean(tf.reduce_sum(1.0 - weights, 1)) * share.rows
        optimizer.apply(tape.gradient(logs["loss"], optimizer.sources))
        return replicas.total(logs)

    return Step(draw, replicas.on_all(learn))


def click_batches(model: Ranker, config: SupervisedConfig, timelines: Timelines) -> Draw:
    """What `make_step` learns from: for a step and positions of `rec_items`."""
    seed = replicas.own_seed(config.seed)
    with tf.device(HOST):
        windows = TargetWindows(timelines, model.config, model.inputs)
        sample = _sampler(model, config, timelines, seed)

    @on_host
    def draw(number: tf.Tensor, positions: tf.Tensor) -> Drawn:
        # For all rows of the worker, so that nothing depends on the number of its replicas.
        candidates, valid = sample(number, positions)
        batch = {**windows(positions)[0], CANDIDATES: candidates}
        return with_unknown(batch, config.unknown_rate, seed, number), tf.cast(valid, tf.float32)

    return draw


def search_batches(model: Ranker, config: SupervisedConfig, timelines: Timelines) -> Draw:
    """The same of searches, for positions of `search_items`: the batch holds their `QUERY`."""
    seed = replicas.own_seed(config.seed) + SEARCH_SEED
    with tf.device(HOST):
        windows = SearchTargetWindows(timelines, model.config, model.inputs)
        sample = _sampler(model, config, timelines, seed)

    @on_host
    def draw(number: tf.Tensor, positions: tf.Tensor) -> Drawn:
        batch, rows, items = windows(positions)
        candidates, valid = sample.of_targets(number, rows, items)
        batch = {**batch, CANDIDATES: candidates}
        return with_unknown(batch, config.unknown_rate, seed, number), tf.cast(valid, tf.float32)

    return draw


def _sampler(model: Ranker, config: SupervisedConfig, timelines: Timelines, seed: int) -> NegativeSampler:
    return NegativeSampler(
        timelines,
        config.negative_sampling,
        config.negatives_avoid,
        config.num_negatives,
        seed,
        clicks=replicas.item_clicks(timelines, model.config.num_items),
    )
