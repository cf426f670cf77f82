"""What a model must be to live in this house: loops, judges, servable, warm start and report know Rankers alone.

A model is chosen by its kind (`model.registry`), and nothing but the registry names one. What every model gives stands
in `Ranker`; what reinforcement and the report ask beyond it, and what not every model has, in the protocols below it.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

import keras
import tensorflow as tf

from model.config import RankerConfig, SupervisedConfig
from model.layers.embeddings import EmbeddingTable
from model.process import keep_memory

if TYPE_CHECKING:
    from model.data.timelines import Timelines

keep_memory()  # before the first tensor of any model

Batch: TypeAlias = dict[str, tf.Tensor]
"""A model batch of `model.contract`."""
State: TypeAlias = dict[str, tf.Tensor]
"""Encoded requests: whatever a model needs of them to score candidates, `[B, ...]` each."""
Items: TypeAlias = Any
"""What a model needs of items to score them: tensors, or a structure of them, whose first axes are those of the ids."""
Embedded: TypeAlias = Any
"""A batch after its lookups: a NamedTuple of a model's own. Its `candidates` are their embeddings, `[B, C, d]`, and its
`rows` the distinct rows looked up in each table, `[U, d]` each, whose squares are penalised."""
Logs: TypeAlias = dict[str, tf.Tensor]
"""Scalars of a training step by name, `loss` among them."""


class Share(NamedTuple):
    """What part of a batch's losses the rows of one replica make up, scalars; 1 where there is one replica.

    Attributes:
        pairs: of a mean over user-item pairs: the share of their weights.
        rows: of a mean over rows.
    """

    pairs: tf.Tensor | float = 1.0
    rows: tf.Tensor | float = 1.0


WHOLE = Share()
"""Of a batch that is not divided."""


class Ranker(keras.Model):
    """A model that scores candidates of a request; all its variables exist after construction.

    Args:
        config: its shape.
        tables: layers of the tables to share with another model of the same shape; None makes new ones.

    Attributes:
        inputs: what it reads of a request, names of `model.contract`. A servable's signatures have these and no others.

    Example:
        logits = ranker.score(ranker.encode(batch), ranker.prepare(candidates))  # `[B, C]`
    """

    inputs: ClassVar[tuple[str, ...]]
    config_class: ClassVar[type[RankerConfig]]

    def __init__(self, config: RankerConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def build(self, input_shape: Any = None) -> None:
        """Create every variable."""
        for layer in self.layers:
            if not layer.built:
                layer.build(None)
        self.built = True

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layers of its tables; each has the name of the vocabulary that its rows come from."""
        return ()

    @property
    def dense_variables(self) -> list[keras.Variable]:
        """All trainable variables but the tables."""
        of_tables = {id(layer.table) for layer in self.tables}
        return [variable for variable in self.trainable_variables if id(variable) not in of_tables]

    def fit_counts(self, timelines: "Timelines", total: Callable[[Any], Any] = lambda counts: counts) -> None:
        """Take from the training log what is counted instead of learned by steps; called once, before the first.

        Args:
            timelines: the training log, or a part of it.
            total: sums counts over all parts.
        """

    def embed(self, batch: Batch) -> Embedded:
        """Look up a batch, candidates included. It stays outside of XLA, as its shapes depend on the ids."""
        raise NotImplementedError

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """What a supervised step minimises, in training mode.

        Args:
            embedded: a batch whose candidates are the target, in column 0, and its negatives.
            weights: of the user-item pairs, `[B, 1 + n]`; 0 leaves a pair out.
            settings: of the stage.
            share: of this replica in the batch.

        Returns:
            `loss`, L2 excepted, and its parts by name, without their weights; of a replica its part of them.
        """
        raise NotImplementedError

    def encode(self, batch: Batch) -> State:
        """The half of a request that does not depend on its candidates.

        Args:
            batch: the model batch of `model.contract`; of it, `inputs` are read.
        """
        raise NotImplementedError

    def prepare(self, items: tf.Tensor) -> Items:
        """What scoring needs of items `[...]`, whoever asks: done once an item when many requests share it."""
        raise NotImplementedError

    def score(self, state: State, items: Items) -> tf.Tensor:
        """Logits `[B, C]` of items for encoded requests.

        All unknown items of a request get the same one, to the bit (`model.objectives.ties`); id 0 gets one of no
        meaning.

        Args:
            state: what `encode` gave.
            items: what `prepare` gave for ids `[B, C]`, or `[1, C]` where all requests share their candidates.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, the tables excepted."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Ranker":
        """A model from `get_config`."""
        return cls(**{**config, "config": cls.config_class(**config["config"])})


@runtime_checkable
class Reasoner(Protocol):
    """A Ranker whose reasoning can be explored: what GRPO asks beyond `Ranker`, Eq. (13) to (15)."""

    @property
    def reasoning_variables(self) -> list[keras.Variable]:
        """The weights that `trained: reasoning` trains."""

    def noise(self, rows: tf.Tensor, trajectories: int, scale: float, seed: int, step: tf.Tensor) -> Any:
        """Noise of a step, `[B, N, ...]`, the first trajectory's is 0; the same seed and step give the same."""

    def read(self, embedded: Any, training: bool = False) -> Any:
        """Encode what all trajectories share."""

    def reason(self, histories: Any, noise: Any = None, cross: bool = True, training: bool = False) -> Any:
        """Reasoning states of N trajectories."""

    def rank(self, embedded: Any, histories: Any, steps: Any, training: bool = False) -> tf.Tensor:
        """Logits of the embedded candidates for each trajectory, `[B, N, C]`."""


@runtime_checkable
class CrossReasoner(Reasoner, Protocol):
    """A Reasoner over two sides, with and without cross attention: what the run page's pictures of states ask."""

    @property
    def num_steps(self) -> int:
        """K."""

    def contrast(self, histories: Any, training: bool = False) -> tuple[Any, Any]:
        """States with and without cross attention."""


@runtime_checkable
class SearchLearner(Protocol):
    """A Ranker that learns from searches too: a search with a click is a request with a query.

    Its `embed` takes batches that hold `QUERY`.
    """

    @property
    def search_weight(self) -> float:
        """Of the searches' loss beside that of the clicks; 0 learns from clicks alone."""

    def search_losses(
        self, embedded: Any, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE
    ) -> Logs:
        """As `Ranker.losses`, of a batch of searches; the names of its parts do not occur there."""


@runtime_checkable
class Retriever(Protocol):
    """A Ranker that finds candidates among all items by inner products: the first of two stages."""

    @property
    def item_vectors(self) -> keras.Variable | None:
        """A vector for each id, `[num_items, d]`; None where its config leaves retrieval out."""

    def query(self, state: State) -> tf.Tensor:
        """A vector for each encoded request, `[B, d]`."""


class Explanation(NamedTuple):
    """Why a request's item got its score.

    Attributes:
        score: its logit, `[B]`.
        rec, search: how much each click and each search weighed, `[B, Lr]` and `[B, Ls]`, the newest last; together
            they sum to 1, or are all 0.
        rec_steps, search_steps: the cosine of each reasoning state with the item, h^(0) to h^(K), `[B, 1 + K]`.
    """

    score: tf.Tensor
    rec: tf.Tensor
    search: tf.Tensor
    rec_steps: tf.Tensor
    search_steps: tf.Tensor


@runtime_checkable
class Explainer(Protocol):
    """A Ranker that says what it looked at."""

    def explain(self, batch: Batch, items: tf.Tensor) -> Explanation:
        """Why items `[B]` got their scores."""

    def search_weights(self, batch: Batch, label: tf.Tensor) -> tf.Tensor:
        """Weight of each search for the candidate in column `label` `[B]`: `[B, Ls]`, the newest last."""
