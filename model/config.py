"""Settings of the model and of its two training stages, with the paper's symbol and our default."""

import dataclasses
import math
import re
from typing import Any, ClassVar, Literal

MAIN_METRIC = "NDCG@5"
"""What trainings stop by, models are chosen by and pages begin with."""


def at_least(config: object, minimum: float, *names: str) -> None:
    """Refuse fields below a minimum, or not finite."""
    for name in names:
        value = getattr(config, name)
        if not minimum <= value < math.inf:
            raise ValueError(f"`{name}` should be at least {minimum}. Received: {value}.")


def check_heads(config: Any) -> None:
    """Refuse a `num_heads` that `dim` cannot be split into."""
    at_least(config, 1, "num_heads")
    if config.dim % config.num_heads:
        raise ValueError(f"`num_heads` should divide `dim`. Received: {config.num_heads} and {config.dim}.")


def check_dropout(config: Any) -> None:
    """Refuse a `dropout` that is no rate, or that leaves nothing."""
    at_least(config, 0, "dropout")
    if config.dropout >= 1:
        raise ValueError(f"`dropout` should be below 1. Received: {config.dropout}.")


def _a_seed(config: object) -> None:
    at_least(config, 0, "seed")
    if config.seed >= 1 << 32:  # type: ignore[attr-defined]
        raise ValueError(f"`seed` should be below 2^32. Received: {config.seed}.")  # type: ignore[attr-defined]


def one_of(config: object, name: str, allowed: tuple[str, ...]) -> None:
    """Refuse a field that is none of the allowed values."""
    value = getattr(config, name)
    if value not in allowed:
        raise ValueError(f"`{name}` should be one of {', '.join(allowed)}. Received: {value!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """How both training stages compute. Weights are float32 always, and so is what is evaluated, pushed and served.

    Attributes:
        precision: `float32`, with TF32 off; `tf32`, whose products round their inputs to 10 bits on a GPU that can;
            `mixed_bfloat16`, whose states and gradients of states have 16 bits, on any device.
        deterministic: the same bits each time on a GPU too, where sums have no fixed order otherwise; slower.

    Raises:
        ValueError: for another precision.
    """

    precision: Literal["float32", "tf32", "mixed_bfloat16"] = "float32"
    deterministic: bool = False

    def __post_init__(self) -> None:
        one_of(self, "precision", ("float32", "tf32", "mixed_bfloat16"))


@dataclasses.dataclass(frozen=True)
class RankerConfig:
    """What the shape of every model says: sizes of tables, and how much of a request is looked at.

    Attributes:
        num_users, num_items, num_words: rows of the three tables, ids 0 and 1 included.
        dim: d, the width of embeddings and states.
        rec_length, search_length: Lr and Ls, the newest events kept.
        words_per_search, items_per_search: W and M.
        retrieval: also find candidates in the whole catalogue, for the signature `recommend`, where the kind can. What
            has to be trained for it takes from the model and gives it nothing: all other weights are the same but for
            rounding.
        kind: its name in `model.registry`, one for each class.
        compiles: whether XLA compiles its supervised losses. Of a loop over steps it compiles the way forward and the
            way back by themselves, and the list of states between them cannot cross over.
    """

    compiles: ClassVar[bool] = True
    num_users: int
    num_items: int
    num_words: int
    dim: int = 64
    rec_length: int = 30
    search_length: int = 30
    words_per_search: int = 8
    items_per_search: int = 5
    retrieval: bool = False
    kind: str = ""

    def __post_init__(self) -> None:
        at_least(self, 2, "num_users", "num_items", "num_words")
        at_least(self, 1, "dim", "rec_length", "search_length", "words_per_search", "items_per_search")


@dataclasses.dataclass(frozen=True)
class LcrSerConfig(RankerConfig):
    """Shape of LCR-SER.

    Attributes:
        num_heads: heads of each attention; divides `dim`.
        reasoning_steps: K; 0 is the encoder-only model, Table 3 without LCR.
        aggregation: `target` is Eq. (8); `mean` averages H^(K) instead, Table 3 without TRA.
        mlp_units: hidden widths of the scoring head, Eq. (10).
        dropout: rate inside encoder, reasoning and head.
        post_norm: layer normalisation after each residual sum, and a residual sum around the FFN, as in the
            authors' other code; False is Eq. (1) to (5) to the letter.
        literal_eq5: True takes the search context in MSA_r, as Eq. (5) is printed.
    """

    kind: Literal["lcr_ser"] = "lcr_ser"
    num_heads: int = 2
    reasoning_steps: int = 2
    aggregation: Literal["target", "mean"] = "target"
    mlp_units: tuple[int, ...] = (200, 80)
    dropout: float = 0.1
    post_norm: bool = True
    literal_eq5: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        at_least(self, 0, "reasoning_steps")
        check_heads(self)
        check_dropout(self)
        if any(units < 1 for units in self.mlp_units):
            raise ValueError(f"`mlp_units` should be widths of at least 1. Received: {list(self.mlp_units)}.")
        one_of(self, "aggregation", ("target", "mean"))


@dataclasses.dataclass(frozen=True)
class SupervisedConfig:
    """Supervised stage, Eq. (9) to (12).

    Attributes:
        batch_size, eval_batch_size: rows of a training step and of an evaluation step.
        optimizer: `adam`, or `adagrad` as GRU4Rec's author has it; of dense weights and of the tables' rows alike.
        learning_rate: of both.
        targets_per_user: the last so many clicks of each user are training targets; 0 is all of them.
        num_negatives: n, sampled for each positive in every step.
        negative_sampling: `uniform` over the items recommended in training, or `popularity` (by their clicks).
        negatives_avoid: `clicked` leaves out what the user clicked anywhere in the training log, in recommendations or
            in a search; `none` the target alone. docs/training.md says what difference it makes.
        unknown_rate: share of the ids of users, items and words that every step replaces by the unknown one.
        tcl_weight: lambda_TCL.  tcl_margin: m.  tcl_distance: d(.,.).
        tcl_stop_gradient: where the gradient of Eq. (9) does not go: `none` lets it flow everywhere, the literal text;
            `plain` is the branch without cross attention, `target` the target's embedding.
        l2_weight: lambda_Reg; biases and normalisation excluded, of the tables only the rows looked up.
        max_epochs: passes over all training targets at the most.
        max_steps: steps at the most; 0 is no limit but `max_epochs`.
        patience: evaluations without a better NDCG@5 before training stops.
        evaluations_per_epoch: evaluations of the eval split in one epoch.
        max_eval_requests: requests of the eval split that an evaluation during training looks at; 0 is all.
        checkpoint_every: steps between checkpoints, besides one after every evaluation.
        jit_compile: compile the step with XLA.
        seed: of weights, dropout, shuffling and negatives.
    """

    batch_size: int = 1024
    eval_batch_size: int = 512
    optimizer: Literal["adam", "adagrad"] = "adam"
    learning_rate: float = 1e-3
    targets_per_user: int = 0
    num_negatives: int = 4
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
    negatives_avoid: Literal["clicked", "none"] = "clicked"
    unknown_rate: float = 0.01
    tcl_weight: float = 0.1
    tcl_margin: float = 0.1
    tcl_distance: Literal["cosine", "euclidean"] = "cosine"
    tcl_stop_gradient: Literal["none", "plain", "target", "both"] = "none"
    l2_weight: float = 1e-5
    max_epochs: int = 100
    max_steps: int = 0
    patience: int = 5
    evaluations_per_epoch: int = 1
    max_eval_requests: int = 0
    checkpoint_every: int = 500
    jit_compile: bool = False
    seed: int = 2025

    def __post_init__(self) -> None:
        at_least(
            self,
            1,
            "batch_size",
            "eval_batch_size",
            "num_negatives",
            "max_epochs",
            "patience",
            "evaluations_per_epoch",
            "checkpoint_every",
        )
        at_least(
            self,
            0,
            "learning_rate",
            "tcl_weight",
            "tcl_margin",
            "l2_weight",
            "max_eval_requests",
            "targets_per_user",
            "max_steps",
        )
        if not 0 <= self.unknown_rate < 1:
            raise ValueError(f"`unknown_rate` should be from 0 to below 1. Received: {self.unknown_rate}.")
        one_of(self, "optimizer", ("adam", "adagrad"))
        one_of(self, "negative_sampling", ("uniform", "popularity"))
        one_of(self, "negatives_avoid", ("clicked", "none"))
        one_of(self, "tcl_distance", ("cosine", "euclidean"))
        one_of(self, "tcl_stop_gradient", ("none", "plain", "target", "both"))
        _a_seed(self)


def check_compiles(model: RankerConfig, supervised: SupervisedConfig) -> None:
    """Refuse to compile what XLA cannot.

    Raises:
        ValueError: if so.
    """
    if supervised.jit_compile and not model.compiles:
        raise ValueError(
            f"`supervised.jit_compile` should be false for {model.kind}, over whose loop of steps XLA takes no "
            "gradient. Received: true."
        )


@dataclasses.dataclass(frozen=True)
class GrpoConfig:
    """Reinforcement stage, Eq. (13) to (17).

    Attributes:
        num_trajectories: N; the first carries no noise.
        noise_scale: gamma.  noise_std: sigma; only their product matters.
        num_negatives: candidates beside the target in a rollout.
        negative_sampling, negatives_avoid: as in the supervised stage.
        reward: metrics `HR@k` and `NDCG@k` of a trajectory's ranking, and the weight of each.
        policy: pi(v|T), a `softmax` over the candidates' logits or the target's `sigmoid`.
        temperature: what the logits are divided by in pi.
        kl_weight: lambda_KL.  advantage_epsilon: added to the standard deviation in Eq. (17).
        negative_weight: what advantages below 0 are multiplied by: 1 is Eq. (17), 0 learns from the better
            trajectories alone. docs/training.md says what difference it makes.
        trained: `all` weights, all but the tables (`dense`), or `reasoning`: encoders, cross attention and steps.
            Only `all` costs a second copy of the tables, for the reference policy.
        learning_rate: of Adam.
        batch_size, eval_batch_size: rows of a rollout and of an evaluation step.
        accumulation_steps: parts that a batch is worked off in, one after the other: for less memory, same result.
        updates_per_rollout: updates from the same trajectories.
        clip_range: the ratio's distance from 1 beyond which it earns nothing, as in PPO; 0 is off, as in the paper.
        max_steps: rollouts; 0 leaves the supervised model as it is, Table 3 without RL.
        eval_every: rollouts between evaluations of the eval split.
        patience: evaluations without a better NDCG@5 before training stops.
        max_eval_requests: as in the supervised stage.
        jit_compile: compile the step with XLA.
        seed: of noise, shuffling and negatives.
    """

    num_trajectories: int = 8
    noise_scale: float = 0.1
    noise_std: float = 1.0
    num_negatives: int = 99
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
    negatives_avoid: Literal["clicked", "none"] = "clicked"
    reward: dict[str, float] = dataclasses.field(default_factory=lambda: {"HR@1": 1.0})
    policy: Literal["softmax", "sigmoid"] = "softmax"
    temperature: float = 1.0
    kl_weight: float = 0.1
    advantage_epsilon: float = 1e-4
    negative_weight: float = 1.0
    trained: Literal["all", "dense", "reasoning"] = "dense"
    learning_rate: float = 1e-4
    batch_size: int = 256
    eval_batch_size: int = 512
    accumulation_steps: int = 1
    updates_per_rollout: int = 1
    clip_range: float = 0.0
    max_steps: int = 200
    eval_every: int = 25
    patience: int = 5
    max_eval_requests: int = 0
    jit_compile: bool = False
    seed: int = 2025

    def __post_init__(self) -> None:
        at_least(self, 2, "num_trajectories")
        at_least(
            self,
            1,
            "num_negatives",
            "batch_size",
            "eval_batch_size",
            "accumulation_steps",
            "updates_per_rollout",
            "eval_every",
            "patience",
        )
        at_least(
            self,
            0,
            "noise_scale",
            "noise_std",
            "kl_weight",
            "advantage_epsilon",
            "negative_weight",
            "learning_rate",
            "clip_range",
            "max_steps",
            "max_eval_requests",
        )
        one_of(self, "policy", ("softmax", "sigmoid"))
        one_of(self, "trained", ("all", "dense", "reasoning"))
        one_of(self, "negative_sampling", ("uniform", "popularity"))
        one_of(self, "negatives_avoid", ("clicked", "none"))
        _a_seed(self)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"`temperature` should be above 0. Received: {self.temperature}.")
        if not self.reward or not all(re.fullmatch(r"(HR|NDCG)@[1-9]\d*", name) for name in self.reward):
            raise ValueError(
                f"`reward` should give weights to metrics such as HR@1 or NDCG@5. Received: {self.reward}."
            )
        if not all(map(math.isfinite, self.reward.values())) or not any(map(self._tells_ranks_apart, self.reward)):
            raise ValueError(
                "`reward` should give a weight other than 0 to a metric that can differ between rankings "
                f"of 1 + `num_negatives` candidates. Received: {self.reward}, {self.num_negatives}."
            )

    def _tells_ranks_apart(self, name: str) -> bool:
        """Whether a metric is in the reward, and not 1 whatever the ranking."""
        kind, _, k = name.partition("@")
        return self.reward[name] != 0 and (kind == "NDCG" or int(k) <= self.num_negatives)
