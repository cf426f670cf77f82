"""Reinforcement stage: GRPO over latent reasoning trajectories, Eq. (13) to (17)."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from model.config import GrpoConfig
from model.contract import CANDIDATES
from model.data.negatives import NegativeSampler
from model.data.requests import Requests
from model.data.timelines import Timelines
from model.data.windows import TargetWindows
from model.objectives import grpo
from model.objectives.metrics import pessimistic_rank, ranking_reward
from model.ops.placement import HOST, on_host
from model.ranker import Batch, Embedded, Logs, Ranker, Reasoner
from model.registry import make_ranker
from model.training import replicas
from model.training.ahead import DrawnAhead, Step
from model.training.batches import batches
from model.training.evaluation import evaluator_of
from model.training.groups import Gradient, Groups, Rollout, Totals, split_groups
from model.training.loop import Schedule, TrainingLoop
from model.training.non_finite import batch_ids
from model.training.optimizers import SplitAdam, merge_rows

LOGGER = logging.getLogger(__name__)

Drawn: TypeAlias = tuple[tf.Tensor, Batch, tf.Tensor]
"""The step, a batch, and whether its candidates take part, `[B, C]`."""


def train(
    model: Ranker,
    config: GrpoConfig,
    timelines: Timelines,
    requests: Requests,
    *,
    checkpoint_dir: str,
    log_dir: str,
) -> Ranker:
    """Improves a supervised model with GRPO; one that is no `Reasoner` is evaluated, and stays as it is.

    The model itself is the first to be evaluated, so the result is never worse on the requests. A training that was
    cut off goes on from its last checkpoint when called again with the same arguments.

    Args:
        model: with its supervised weights, which are the reference policy too; changed in place.
        config: the training's settings.
        timelines: the training log; of several workers, this one's part.
        requests: the eval split, likewise.
        checkpoint_dir, log_dir: of checkpoints, and of TensorBoard and `grpo.csv`; all workers see the same.

    Returns:
        The model with the weights of its best evaluation.

    Raises:
        FloatingPointError, OSError: as `TrainingLoop.run`.
        ValueError: if a worker has no target or no request.
    """
    reasons = isinstance(model, Reasoner)
    if not reasons:
        LOGGER.info("%s has no trajectories to learn from: it stays as it is.", type(model).__name__)
    optimizer = make_optimizer(model, config) if reasons else SplitAdam([], [], config.learning_rate)
    order = batches(timelines.targets, config.batch_size, config.seed)
    reference = copy_policy(model, share_tables=config.trained != "all")
    step = make_step(model, reference, optimizer, config, timelines)
    loop = TrainingLoop(
        Schedule(
            stage="grpo",
            total_steps=config.max_steps if reasons else 0,
            eval_every=config.eval_every,
            checkpoint_every=config.eval_every,
            patience=config.patience,
            evaluate_first=True,
            compiles=config.jit_compile,
            log_every=1,  # a few hundred steps at the most, each worth seeing
        ),
        DrawnAhead(step, lambda number: (order.batch(number),)),
        evaluator_of(model, requests, config.eval_batch_size, config.max_eval_requests),
        state={"optimizer": optimizer},
        weights=[*optimizer.tables, *optimizer.dense],
        batch_ids=lambda step: batch_ids(timelines, order.batch(step)),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
    )
    loop.run()
    return model


def copy_policy(model: Ranker, share_tables: bool = True) -> Ranker:
    """A second model with a copy of the weights; the tables are the same layers unless they are to be copied."""
    copy = make_ranker(model.config, tables=model.tables if share_tables else None, dtype=model.dtype_policy)
    for target, source in zip(copy.trainable_variables, model.trainable_variables, strict=True):
        if target is not source:
            target.assign(source)
    return copy


def make_optimizer(model: Ranker, config: GrpoConfig) -> SplitAdam:
    """Adam for the weights that `trained` names."""
    tables = [layer.table for layer in model.tables] if config.trained == "all" else []
    dense = model.reasoning_variables if config.trained == "reasoning" else model.dense_variables
    return SplitAdam(tables, dense, config.learning_rate)


def make_step(model: Ranker, reference: Ranker, optimizer: SplitAdam, config: GrpoConfig, timelines: Timelines) -> Step:
    """The step: one rollout and its updates.

    Returns:
        Of the step, int64 scalar, and the positions of its targets, int32 `[B]`, `draw` samples negatives and gathers
        the windows; `learn` rolls out N trajectories of each target, updates the model and gives what
        `group_objective` gives and `grad_norm`, as means over the updates. Under a `tf.distribute.Strategy` as
        `supervised.make_step`: the step is that of the rows of all workers together.
    """
    own_tables = any(one is not other for one, other in zip(reference.tables, model.tables, strict=True))

    @replicas.compiled
    def start(number: tf.Tensor, batch: Batch, valid: tf.Tensor) -> Groups:
        noise = sample_noise(model, config, tf.shape(valid)[0], number)
        batch, valid = on_host(replicas.parts)((batch, valid))
        return Groups(batch, valid, replicas.parts(noise))

    def play(embedded: Embedded, anchor: Embedded, groups: Groups, rollout: Rollout | None) -> tuple[Logs, Rollout]:
        return group_objective(
            model, reference, config, embedded, anchor=anchor, valid=groups.valid, noise=groups.noise, rollout=rollout
        )

    if config.jit_compile:
        # The lookups stay outside of XLA: their shapes depend on the ids, and it compiles anew for every shape.
        play = tf.function(play, jit_compile=True, autograph=False)

    @replicas.compiled
    def differentiate(groups: Groups, rollout: Rollout | None) -> tuple[list[Gradient], Logs, Rollout]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(optimizer.sources)
            embedded = model.embed(groups.batch)._replace(rows=())
            anchor = reference.embed(groups.batch)._replace(rows=()) if own_tables else embedded
            logs, rollout = play(embedded, anchor, groups, rollout)
        return tape.gradient(logs["loss"], optimizer.sources), logs, rollout

    @replicas.compiled
    def apply(gradients: list[Gradient]) -> tf.Tensor:
        optimizer.apply(gradients)
        of_all = replicas.total([gradient for gradient in gradients if gradient is not None])
        if replicas.count() > 1:
            of_all = [merge_rows(one) if isinstance(one, tf.IndexedSlices) else one for one in of_all]
        values = [one.values if isinstance(one, tf.IndexedSlices) else one for one in of_all]
        return tf.norm(tf.concat([tf.reshape(one, [-1]) for one in values], 0))  # of one vector, not of each weight

    def learn(drawn: Drawn) -> Logs:
        whole = start(*drawn)
        share = replicas.share(tf.cast(whole.valid, tf.float32)).rows
        parts = split_groups(whole, config.accumulation_steps)
        rollouts: list[Rollout | None] = [None] * len(parts)
        history = []
        for _ in range(config.updates_per_rollout):
            totals = Totals()
            for index, groups in enumerate(parts):
                gradients, logs, rollouts[index] = differentiate(groups, rollouts[index])
                totals.add(gradients, logs, groups.valid.shape[0] / whole.valid.shape[0] * share)
            history.append({**replicas.total(totals.logs), "grad_norm": apply(totals.gradients)})
        return {name: tf.reduce_mean([logs[name] for logs in history]) for name in history[0]}

    return Step(tf.function(group_batches(model, config, timelines), autograph=False), replicas.on_all(learn))


def group_batches(model: Ranker, config: GrpoConfig, timelines: Timelines) -> Callable[[tf.Tensor, tf.Tensor], Drawn]:
    """What `make_step` learns from: for a step and positions of `rec_items`."""
    with tf.device(HOST):
        windows = TargetWindows(timelines, model.config, model.inputs)
        sample = NegativeSampler(
            timelines,
            config.negative_sampling,
            config.negatives_avoid,
            config.num_negatives,
            replicas.own_seed(config.seed),
            clicks=replicas.item_clicks(timelines, model.config.num_items),
        )

    @on_host
    def draw(number: tf.Tensor, positions: tf.Tensor) -> Drawn:
        # For all rows of the worker, so that nothing depends on the number of its replicas.
        candidates, valid = sample(number, positions)
        batch, _ = windows(positions)
        return number, {**batch, CANDIDATES: candidates}, valid

    return draw


def sample_noise(model: Ranker, config: GrpoConfig, rows: tf.Tensor, step: tf.Tensor) -> Any:
    """Noise of a step of `rows` groups, Eq. (14): what the model's `reason` takes."""
    scale = config.noise_scale * config.noise_std
    return model.noise(rows, config.num_trajectories, scale, replicas.own_seed(config.seed), step)


def group_objective(
    model: Ranker,
    reference: Ranker,
    config: GrpoConfig,
    embedded: Embedded,
    *,
    anchor: Embedded,
    valid: tf.Tensor,
    noise: Any,
    rollout: Rollout | None = None,
) -> tuple[Logs, Rollout]:
    """Eq. (15) for one group a row. Dropout is off: only the noise explores.

    Args:
        model, reference: pi and pi_ref, on the same candidates and the same noise.
        config: policy, reward, epsilon and lambda_KL.
        embedded: a batch whose candidates are the target, in column 0, and its negatives.
        anchor: the same batch, embedded by the reference.
        valid: False for candidates that do not take part, `[B, C]`.
        noise: of both sides, `[B, N, d]`.
        rollout: what the old policy did; None if `model` still is the old policy.

    Returns:
        `loss` (the negated objective), `policy_objective`, `kl`, `ratio`, `clip_ratio`, `reward`, `reward_std`,
        `frac_reward_zero_std`, `missing_negatives`; and the rollout, for further updates from it.
    """
    logits = _logits(model, embedded, noise)
    log_probability = grpo.target_log_probability(logits, valid, config.policy, config.temperature)
    if rollout is None:
        reference_logits = _logits(reference, anchor, noise)
        rollout = Rollout(
            # The old policy is the current one: a ratio of 1 whose gradient is that of log pi.
            tf.stop_gradient(log_probability),
            tf.stop_gradient(grpo.target_log_probability(reference_logits, valid, config.policy, config.temperature)),
            _rewards(logits, valid, config.reward),
        )
    advantage, constant = grpo.advantages(rollout.rewards, config.advantage_epsilon)
    advantage = tf.where(advantage < 0, config.negative_weight * advantage, advantage)
    result = grpo.objective(
        log_probability,
        rollout.old,
        rollout.reference,
        advantage,
        kl_weight=config.kl_weight,
        clip_range=config.clip_range,
    )
    logs = {
        "loss": -result.total,
        "policy_objective": result.gain,
        "kl": result.kl,
        "ratio": result.ratio,
        "clip_ratio": result.clip_ratio,
        "reward": tf.reduce_mean(rollout.rewards),
        "reward_std": tf.reduce_mean(tf.math.reduce_std(rollout.rewards, 1)),
        "frac_reward_zero_std": tf.reduce_mean(tf.cast(constant, tf.float32)),
        "missing_negatives": tf.reduce_mean(tf.reduce_sum(tf.cast(~valid, tf.float32), 1)),
    }
    return logs, rollout


def _logits(model: Ranker, embedded: Embedded, noise: Any) -> tf.Tensor:
    """Logits of N trajectories over one encoding of the histories, `[B, N, C]`, Eq. (13)."""
    histories = model.read(embedded)
    return model.rank(embedded, histories, model.reason(histories, noise=noise))


def _rewards(logits: tf.Tensor, valid: tf.Tensor, reward: Mapping[str, float]) -> tf.Tensor:
    """Reward of each trajectory's ranking, `[B, N]`."""
    taking_part = tf.where(valid[:, None], logits, -tf.constant(float("inf")))
    ranks = pessimistic_rank(taking_part, tf.zeros(tf.shape(logits)[:2], tf.int32))
    return ranking_reward(ranks, reward)
