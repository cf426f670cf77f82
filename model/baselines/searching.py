"""What models that read searches have in common: a state of both histories, compared with items."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from model.config import RankerConfig, SupervisedConfig, at_least, check_dropout, check_heads
from model.contract import (
    CANDIDATES,
    PADDING_ID,
    QUERY,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORDS,
    USER,
)
from model.layers.embeddings import EmbeddingTable, take, take_mean
from model.objectives.losses import recommendation_loss
from model.objectives.ties import tie_unknown
from model.ranker import WHOLE, Batch, Logs, Ranker, Share, State


@dataclasses.dataclass(frozen=True)
class SearchReaderConfig(RankerConfig):
    """What every model that reads searches has.

    Attributes:
        dropout: rate.
    """

    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dropout(self)


@dataclasses.dataclass(frozen=True)
class SearchLearnerConfig(SearchReaderConfig):
    """What every model has that learns from searches too.

    Attributes:
        search_weight: of the searches' loss beside that of the clicks; 0 learns from clicks alone.
    """

    search_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "search_weight")


@dataclasses.dataclass(frozen=True)
class SearchConfig(SearchReaderConfig):
    """A model that reads searches with attention of several heads.

    Attributes:
        num_heads: heads of each attention; divides `dim`.
    """

    num_heads: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self)


@dataclasses.dataclass(frozen=True)
class JointConfig(SearchConfig, SearchLearnerConfig):
    """Such a model that learns from searches too."""


class Embedded(NamedTuple):
    """A batch after its lookups.

    Attributes:
        user: e_u, `[B, d]`; None where the model does not read the user.
        rec: items clicked, without positions, `[B, Lr, d]`.
        rec_ids: their ids, `[B, Lr]`.
        queries: of each search the mean of its words, `[B, Ls, d]`; zero where it has none.
        clicked: of each search the mean of the items clicked in it, `[B, Ls, d]`; zero where it has none.
        rec_mask, search_mask: True for a real event, `[B, Lr]` and `[B, Ls]`.
        rec_times, search_times: int64 milliseconds, `[B, Lr]` and `[B, Ls]`; None where the model does not read times.
        query: of a batch of searches the mean of the words of the search to be answered, `[B, d]`; else None.
        candidates: `[B, C, d]`; C is 0 for a batch without candidates.
        candidate_ids: `[B, C]`.
        rows: the distinct rows looked up in each table, `[U, d]` each.
    """

    user: tf.Tensor | None
    rec: tf.Tensor
    rec_ids: tf.Tensor
    queries: tf.Tensor
    clicked: tf.Tensor
    rec_mask: tf.Tensor
    search_mask: tf.Tensor
    rec_times: tf.Tensor | None
    search_times: tf.Tensor | None
    query: tf.Tensor | None
    candidates: tf.Tensor
    candidate_ids: tf.Tensor
    rows: tuple[tf.Tensor, ...]

    @property
    def searches(self) -> tf.Tensor:
        """A vector for each search, its query plus the mean of its clicked items, `[B, Ls, d]`."""
        return self.queries + self.clicked


class PreparedItems(NamedTuple):
    """Items `[...]` and what `represent` makes of their embeddings, `[..., d]`."""

    ids: tf.Tensor
    embeddings: tf.Tensor


class SearchRanker(Ranker):
    """A state of a user's clicks and searches, compared with items.

    A model of this family implements `read` and `rank`, `represent` where it makes something of items that no request
    changes, and `losses` where it minimises more than the binary cross-entropy. Where `Embedded` is not what it reads,
    it has an `embed` and a NamedTuple of its own. One that learns from searches too is a `JointRanker`.

    Args:
        config: the model's shape.
        tables: layers of the user (where it is read), item and word tables to share with another model; None makes new
            ones.
    """

    inputs: ClassVar[tuple[str, ...]] = (USER, REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)
    config: SearchReaderConfig

    def __init__(
        self, config: SearchReaderConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        sizes = {"items": config.num_items, "words": config.num_words}
        if USER in self.inputs:
            sizes = {"users": config.num_users, **sizes}
        tables = tables or tuple(
            EmbeddingTable(rows, config.dim, dtype=self.dtype_policy, name=name) for name, rows in sizes.items()
        )
        for name, table in zip(sizes, tables, strict=True):
            setattr(self, name, table)

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layers of the tables: of users where they are read, of items, of words."""
        users = (self.users,) if USER in self.inputs else ()
        return (*users, self.items, self.words)

    def embed(self, batch: Batch) -> Any:
        """Look up users, clicks, searches and candidates: `Embedded`."""
        clicks, words, clicked = batch[REC_ITEMS], batch[SEARCH_WORDS], batch[SEARCH_ITEMS]
        candidates = batch.get(CANDIDATES, clicks[:, :0])
        asked = batch.get(QUERY)
        items = self.items(clicks, clicked, candidates)
        texts = self.words(words, *(() if asked is None else (asked,)))
        rows: tuple[tf.Tensor, ...] = (items.rows, texts.rows)
        user = None
        if USER in self.inputs:
            users = self.users(batch[USER])
            user, rows = take(users.rows, users.positions[0]), (users.rows, *rows)
        clicks_at, clicked_at, candidates_at = items.positions
        has_words, has_clicks = (tf.reduce_any(ids != PADDING_ID, 2) for ids in (words, clicked))
        return Embedded(
            user=user,
            rec=take(items.rows, clicks_at),
            rec_ids=clicks,
            queries=take_mean(texts.rows, texts.positions[0], words),
            clicked=take_mean(items.rows, clicked_at, clicked),
            rec_mask=clicks != PADDING_ID,
            search_mask=has_words | has_clicks,
            rec_times=batch[REC_TIMES] if REC_TIMES in self.inputs else None,
            search_times=batch[SEARCH_TIMES] if SEARCH_TIMES in self.inputs else None,
            query=None if asked is None else take_mean(texts.rows, texts.positions[1][:, None], asked[:, None])[:, 0],
            candidates=take(items.rows, candidates_at),
            candidate_ids=candidates,
            rows=rows,
        )

    def read(self, embedded: Any, training: bool = False) -> State:
        """What a request comes to, whatever its candidates: tensors `[B, ...]`, masks as 1 for a real event."""
        raise NotImplementedError

    def represent(self, items: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What `rank` takes of items with embeddings `[..., d]`: unless a model says otherwise, the embeddings."""
        return items

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]`.

        Args:
            state: what `read` gave.
            candidates: what `represent` gave, `[B, C, d]`, or `[1, C, d]` where all requests share them.
            training: whether dropout applies.
        """
        raise NotImplementedError

    def pair_loss(self, state: State, embedded: Any, weights: tf.Tensor, share: Share = WHOLE) -> tf.Tensor:
        """Binary cross-entropy of targets and negatives, the mean over all pairs."""
        candidates = self.represent(embedded.candidates, training=True)
        logits = self.rank(state, candidates, training=True)
        return recommendation_loss(tf.cast(logits, self.variable_dtype), weights) * share.pairs

    def losses(self, embedded: Any, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """Binary cross-entropy."""
        loss = self.pair_loss(self.read(embedded, training=True), embedded, weights, share)
        return {"loss": loss, "rec_loss": loss}

    def encode(self, batch: Batch) -> State:
        """What `read` gives, in the dtype of the weights."""
        state = self.read(self.embed({name: batch[name] for name in self.inputs}))
        return {name: tf.cast(value, self.variable_dtype) for name, value in state.items()}

    def prepare(self, items: tf.Tensor) -> PreparedItems:
        """What `represent` gives of items."""
        found = self.items(items)
        return PreparedItems(items, self.represent(take(found.rows, found.positions[0])))

    def score(self, state: State, items: PreparedItems) -> tf.Tensor:
        """Logits `[B, C]`."""
        return tie_unknown(tf.cast(self.rank(state, items.embeddings), self.variable_dtype), items.ids)


class JointRanker(SearchRanker):
    """A `SearchRanker` that learns from searches as well: `read` takes `embedded.query` into the state."""

    config: SearchLearnerConfig

    @property
    def search_weight(self) -> float:
        """Of the searches' loss beside that of the clicks."""
        return self.config.search_weight

    def search_losses(
        self, embedded: Any, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE
    ) -> Logs:
        """Binary cross-entropy of the items clicked in searches."""
        return {"loss": self.pair_loss(self.read(embedded, training=True), embedded, weights, share)}
