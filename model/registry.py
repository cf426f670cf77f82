"""The kinds of models: the only place that names them.

A kind is a config and a Ranker, named by import path: reading a config loads no TensorFlow, and a change of one model
re-runs the training of that model alone (`source_module`).
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from model.config import RankerConfig

if TYPE_CHECKING:
    from model.ranker import Ranker

DEFAULT = "lcr_ser"


class Kind(NamedTuple):
    """A kind's name in tables, and where its config and Ranker are: `module:class`."""

    title: str
    config: str
    ranker: str


def _baseline(title: str, module: str, ranker: str) -> Kind:
    path = f"model.baselines.{module}:{ranker}"
    return Kind(title, f"{path}Config", path)


KINDS = {
    DEFAULT: Kind("LCR-SER", "model.config:LcrSerConfig", "model.lcr_ser:LcrSer"),
    "jsr": _baseline("JSR", "jsr", "Jsr"),
    "nrhub": _baseline("NRHUB", "nrhub", "Nrhub"),
    "popularity": _baseline("Popularity", "popularity", "Popularity"),
    "query_seqrec": _baseline("Query-SeqRec", "query_seqrec", "QuerySeqRec"),
    "sasrec": _baseline("SASRec", "sasrec", "SasRec"),
    "rearec_erl": _baseline("ReaRec (ERL)", "rearec", "ReaRecErl"),
    "rearec_prl": _baseline("ReaRec (PRL)", "rearec", "ReaRecPrl"),
    "lares": _baseline("LARES", "lares", "Lares"),
    "cl4srec": _baseline("CL4SRec", "cl4srec", "Cl4SRec"),
    "bert4rec": _baseline("BERT4Rec", "bert4rec", "Bert4Rec"),
    "gru4rec": _baseline("GRU4Rec", "gru4rec", "Gru4Rec"),
    "item_neighbours": _baseline("Item neighbours", "item_neighbours", "ItemNeighbours"),
    "sesrec": _baseline("SESRec", "sesrec", "SesRec"),
    "unified_ssr": _baseline("UnifiedSSR", "unified_ssr", "UnifiedSsr"),
    "unisar": _baseline("UniSAR", "unisar", "UniSar"),
    "user_model": _baseline("USER", "user", "User"),
}


def title(kind: str) -> str:
    """What tables call a kind."""
    return _kind(kind).title


def config_class(kind: str) -> type[RankerConfig]:
    """The config of a kind.

    Raises:
        ValueError: for a kind that is not registered.
    """
    return _load(_kind(kind).config)


def make_config(fields: Mapping[str, Any]) -> RankerConfig:
    """A config from its fields; of `lcr_ser` where no `kind` is named.

    Raises:
        ValueError, TypeError: for another kind, a field that it does not have, or a value out of range.
    """
    return config_class(fields.get("kind", DEFAULT))(**fields)


def make_ranker(config: RankerConfig, **kwargs: Any) -> "Ranker":
    """A new model of a config, with the arguments of `Ranker` and `keras.Model`."""
    return _load(_kind(config.kind).ranker)(config, **kwargs)


def source_module(kind: str) -> str:
    """The module that a kind's Ranker is in."""
    return _kind(kind).ranker.partition(":")[0]


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise ValueError(f"`kind` should be one of {', '.join(KINDS)}. Received: {name!r}.")
    return KINDS[name]


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
