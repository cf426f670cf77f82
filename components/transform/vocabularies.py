"""How ids and words become rows of the model's tables, and how many rows these have."""

from typing import Any

import tensorflow_transform as tft

from model import contract
from model.config import RankerConfig
from model.registry import make_config

VOCABULARY = "vocabulary"
"""A row for each string of the train split, the most frequent first; every other string is unknown."""
HASH = "hash"
"""A row for each hash bucket: nothing is counted, nothing is unknown, and strings of one bucket are one."""
ID_KINDS = (VOCABULARY, HASH)

NAMES = (contract.USER_VOCABULARY, contract.ITEM_VOCABULARY, contract.WORD_VOCABULARY)


def table_sizes(transform: tft.TFTransformOutput, settings: dict[str, Any]) -> dict[str, Any]:
    """`num_users`, `num_items` and `num_words` of `RankerConfig`: entries or buckets, padding and the unknown id.

    Args:
        transform: what Transform put out, with the vocabularies that were counted.
        settings: those of `components.transform.preprocessing`.
    """

    def entries(name: str) -> int:
        return settings[f"max_{name}"] if settings[name] == HASH else transform.vocabulary_size_by_name(name)

    return {f"num_{name}": entries(name) + contract.FIRST_KNOWN_ID for name in NAMES}


def ranker_config(transform: tft.TFTransformOutput, settings: dict[str, Any], shape: dict[str, Any]) -> RankerConfig:
    """The shape of a run's model.

    Args:
        transform, settings: as above.
        shape: fields of a config of `model.registry`; sizes of tables among it do not count.
    """
    return make_config({**shape, **table_sizes(transform, settings)})
