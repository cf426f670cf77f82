"""Reinforcement stage: GRPO over latent reasoning trajectories, Eq. (13) to (17)."""

from collections.abc import Callable

import tensorflow as tf

from model import grpo
from model.config import GrpoConfig
from model.inputs import CANDIDATES, REC_ITEMS
from model.lcr_ser import Embedded, LcrSer
from model.metrics import hit_ratio, pessimistic_rank
from model.optimizers import SplitAdam
from model.reasoning import Sides
from model.training.evaluation import Evaluator
from model.training.loop import Schedule, TrainingLoop
from model.training.negatives import NegativeSampler
from model.training.requests import Requests
from model.training.targets import TargetOrder
from model.training.timelines import Timelines
from model.training.windows import TargetWindows

Logs = dict[str, tf.Tensor]


def train(
    model: LcrSer,
    config: GrpoConfig,
    timelines: Timelines,
    requests: Requests,
    *,
    checkpoint_dir: str,
    log_dir: str,
) -> LcrSer:
    """Improves a supervised model with GRPO; the three tables stay as they are.

    The model itself is the first to be evaluated, so the result is never worse on the requests. A training that was
    cut off goes on from its last checkpoint when called again with the same arguments.

    Args:
        model: with its supervised weights, which are the reference policy too; changed in place.
        config: the training's settings.
        timelines: the training log.
        requests: the eval split.
        checkpoint_dir, log_dir: of checkpoints and of TensorBoard.

    Returns:
        The model with the weights of its best evaluation.

    Raises:
        FloatingPointError: if the loss is not finite; the message names the step.
    """
    reference = copy_policy(model)
    optimizer = SplitAdam([], model.dense_variables, config.learning_rate)
    order = TargetOrder(timelines.targets, config.batch_size, config.seed)
    take_step = make_step(model, reference, optimizer, config, timelines)
    weights = [variable.value for variable in model.dense_variables]
    loop = TrainingLoop(
        Schedule(
            stage="grpo",
            total_steps=config.max_steps,
            eval_every=config.eval_every,
            checkpoint_every=config.eval_every,
            patience=config.patience,
            evaluate_first=True,
        ),
        lambda step: take_step(tf.constant(step, tf.int64), tf.constant(order.batch(step))),
        Evaluator(model, requests, config.eval_batch_size, config.max_eval_requests),
        state={"weights": weights, "optimizer": optimizer},
        weights={"weights": weights},
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
    )
    loop.run()
    return model


def copy_policy(model: LcrSer) -> LcrSer:
    """A second model with the same tables and a copy of all other weights."""
    copy = LcrSer(model.config, tables=model.tables)
    for target, source in zip(copy.dense_variables, model.dense_variables, strict=True):
        target.assign(source)
    return copy


def make_step(
    model: LcrSer, reference: LcrSer, optimizer: SplitAdam, config: GrpoConfig, timelines: Timelines
) -> Callable[[tf.Tensor, tf.Tensor], Logs]:
    """The compiled update.

    Returns:
        A function of the step, int64 scalar, and the positions of its targets, int32 `[B]`: it rolls out N
        trajectories of each target, updates the model once and gives what `group_objective` gives, the negated
        objective as `loss`, and `grad_norm`.
    """
    windows = TargetWindows(timelines, model.config)
    sample = NegativeSampler(timelines, config.negative_sampling, config.num_negatives, config.seed)

    def update(embedded: Embedded, valid: tf.Tensor, noise: Sides) -> Logs:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(optimizer.sources)
            logs = group_objective(model, reference, config, embedded, valid=valid, noise=noise)
        gradients = tape.gradient(logs["loss"], optimizer.sources)
        optimizer.apply(gradients)
        return {**logs, "grad_norm": tf.linalg.global_norm([g for g in gradients if g is not None])}

    if config.jit_compile:
        update = tf.function(update, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def step(number: tf.Tensor, positions: tf.Tensor) -> Logs:
        batch, targets = windows(positions)
        candidates, valid = sample(number, positions)
        noise = sample_noise(config, tf.shape(targets)[0], model.config.dim, number)
        # XLA compiles anew for every shape, and the number of rows looked up changes.
        embedded = model.embed({**batch, CANDIDATES: candidates})._replace(rows=())
        return update(embedded, valid, noise)

    return step


def sample_noise(config: GrpoConfig, batch: tf.Tensor, dim: int, number: tf.Tensor) -> Sides:
    """Noise of a step for both sides, `[B, N, d]` each, Eq. (14)."""
    scale = config.noise_scale * config.noise_std
    return Sides(*(
        grpo.exploration_noise(
            batch, config.num_trajectories, dim, scale, tf.stack([tf.constant(config.seed + side, tf.int64), number])
        )
        for side in (1, 2)
    ))


def group_objective(
    model: LcrSer, reference: LcrSer, config: GrpoConfig, embedded: Embedded, *, valid: tf.Tensor, noise: Sides
) -> Logs:
    """Rolls out one group a row and computes Eq. (15). Dropout is off: only the noise explores.

    Args:
        model, reference: pi and pi_ref, on the same candidates and the same noise.
        config: policy, epsilon and lambda_KL.
        embedded: a batch whose candidates are the target, in column 0, and its negatives.
        valid: False for candidates that do not take part, `[B, C]`.
        noise: of both sides, `[B, N, d]`.

    Returns:
        `loss` (the negated objective), `policy_objective`, `kl`, `reward`, `reward_std`, `frac_reward_zero_std`.
    """
    logits = _roll_out(model, embedded, noise)
    log_probability = grpo.target_log_probability(logits, valid, config.policy)
    reference_logits = tf.stop_gradient(_roll_out(reference, embedded, noise))
    rewards = _rewards(logits, valid)
    advantage, constant = grpo.advantages(rewards, config.advantage_epsilon)
    total, gain, divergence = grpo.objective(
        log_probability,
        # One update for each rollout: the old policy is the current one, and only its gradient is missing.
        tf.stop_gradient(log_probability),
        grpo.target_log_probability(reference_logits, valid, config.policy),
        advantage,
        config.kl_weight,
    )
    return {
        "loss": -total,
        "policy_objective": gain,
        "kl": divergence,
        "reward": tf.reduce_mean(rewards),
        "reward_std": tf.reduce_mean(tf.math.reduce_std(rewards, 1)),
        "frac_reward_zero_std": tf.reduce_mean(tf.cast(constant, tf.float32)),
    }


def _roll_out(model: LcrSer, embedded: Embedded, noise: Sides) -> tf.Tensor:
    """Logits of N trajectories over one encoding of the histories, `[B, N, C]`, Eq. (13)."""
    histories = model.read(embedded)
    return model.rank(embedded, histories, model.reason(histories, noise=noise))


def _rewards(logits: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """HR@1 of each trajectory's ranking, `[B, N]`."""
    taking_part = tf.where(valid[:, None], logits, -tf.constant(float("inf")))
    ranks = pessimistic_rank(taking_part, tf.zeros(tf.shape(logits)[:2], tf.int32))
    return hit_ratio(ranks, 1)
