"""Transform: ids and words become integers, by vocabularies that were counted on the train split."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from model import inputs as contract

_ITEM_FEATURES = (contract.REC_ITEMS, contract.SEARCH_ITEMS, contract.CANDIDATES)
_COUNT_FEATURES = (
    contract.REC_CLICKS_BEFORE,
    contract.REC_SEARCHES_BEFORE,
    contract.REC_IS_TARGET,
    contract.SEARCH_WORD_COUNTS,
    contract.SEARCH_ITEM_COUNTS,
    contract.LABEL,
)


# Transform traces this function several times; converting it and all of tft that it calls by AutoGraph took most of
# the component's time, and there is no Python control flow over tensors to convert.
@tf.autograph.experimental.do_not_convert
def preprocessing_fn(inputs: dict[str, tf.RaggedTensor], custom_config: dict[str, Any]) -> dict[str, tf.SparseTensor]:
    """Map strings to ids: 0 is kept for padding, 1 is unknown, entry i of a vocabulary is i + 2.

    An item has one id, in whatever role it occurs: recommended, clicked in a search, or candidate. The
    candidates themselves are not counted, for they exist only in the eval and test splits.

    Args:
        inputs: raw features of `model.inputs`, ragged strings and integers `[B, (n)]`.
        custom_config: `max_items`, `max_users`, `max_words`: entries kept of each vocabulary, most frequent
            first (None: all).

    Returns:
        The same features as sparse int64 tensors `[B, (n)]`.
    """
    items = tf.concat([inputs[contract.REC_ITEMS].values, inputs[contract.SEARCH_ITEMS].values], axis=0)
    vocabularies = {
        contract.ITEM_VOCABULARY: tft.vocabulary(
            items, top_k=custom_config["max_items"], vocab_filename=contract.ITEM_VOCABULARY),
        contract.USER_VOCABULARY: tft.vocabulary(
            inputs[contract.USER].values, top_k=custom_config["max_users"], vocab_filename=contract.USER_VOCABULARY),
        contract.WORD_VOCABULARY: tft.vocabulary(
            inputs[contract.SEARCH_WORDS].values, top_k=custom_config["max_words"],
            vocab_filename=contract.WORD_VOCABULARY),
    }

    def ids(feature: str, vocabulary: str) -> tf.SparseTensor:
        indices = tft.apply_vocabulary(inputs[feature].values, vocabularies[vocabulary], default_value=-1)
        unknown = tf.constant(contract.UNKNOWN_ID, tf.int64)
        known = indices + contract.FIRST_KNOWN_ID
        return inputs[feature].with_values(tf.where(indices < 0, unknown, known)).to_sparse()

    outputs = {feature: ids(feature, contract.ITEM_VOCABULARY) for feature in _ITEM_FEATURES}
    outputs[contract.USER] = ids(contract.USER, contract.USER_VOCABULARY)
    outputs[contract.SEARCH_WORDS] = ids(contract.SEARCH_WORDS, contract.WORD_VOCABULARY)
    outputs.update({feature: inputs[feature].to_sparse() for feature in _COUNT_FEATURES})
    return outputs
