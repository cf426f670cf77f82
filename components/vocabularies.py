"""Sizes of the model's tables, from the vocabularies of Transform."""

from typing import Any

import tensorflow_transform as tft

from model import inputs as contract


def table_sizes(transform: tft.TFTransformOutput) -> dict[str, Any]:
    """`num_users`, `num_items` and `num_words` of `ModelConfig`: the vocabularies, padding and the unknown id."""
    return {
        f"num_{name}": transform.vocabulary_size_by_name(name) + contract.FIRST_KNOWN_ID
        for name in (contract.USER_VOCABULARY, contract.ITEM_VOCABULARY, contract.WORD_VOCABULARY)
    }
