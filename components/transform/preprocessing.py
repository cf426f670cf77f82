"""Transform: ids and words become integers, by vocabularies that were counted on the train split, or by hashing."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.transform.vocabularies import HASH
from model import contract

_ITEM_FEATURES = (contract.REC_ITEMS, contract.SEARCH_ITEMS, contract.CANDIDATES)
_INTEGER_FEATURES = (
    *contract.TIME_FEATURES,
    *contract.CLICK_TARGET_FEATURES,
    *contract.SEARCH_TARGET_FEATURES,
    contract.SEARCH_WORD_COUNTS,
    contract.SEARCH_ITEM_COUNTS,
    contract.LABEL,
)
"""Passed on as they are. Of a graph that is called without some, as the servable calls it, only these are missing."""


# Transform traces this function several times; converting it and all of tft that it calls by AutoGraph took most of
# the component's time, and there is no Python control flow over tensors to convert.
@tf.autograph.experimental.do_not_convert
def preprocessing_fn(inputs: dict[str, tf.RaggedTensor], custom_config: dict[str, Any]) -> dict[str, tf.SparseTensor]:
    """Map strings to ids: 0 is kept for padding, 1 is unknown, entry i of a vocabulary (or bucket i) is i + 2.

    Ids and words are read without the `model.contract.BLANKS` around them. An item has one id, in whatever role it
    occurs: recommended, clicked in a search, or candidate. The candidates themselves are not counted, for they exist
    only in the eval and test splits. Of a search, the items are counted that the model looks at: a row of its own that
    nothing trains would be worse than being unknown.

    Args:
        inputs: raw features of `model.contract`, ragged strings and integers `[B, (n)]`.
        custom_config: `items`, `users` and `words`: how ids are made, a value of
            `components.transform.vocabularies.ID_KINDS`; `max_items`, `max_users`, `max_words`: entries kept of a
            vocabulary, most frequent first (None: all), or the number of hash buckets; `items_per_search`: M of the
            model.

    Returns:
        The same features as sparse int64 tensors `[B, (n)]`.
    """
    strings = {
        feature: tf.strings.strip(inputs[feature].values)  # `contract.BLANKS`
        for feature in (*_ITEM_FEATURES, contract.USER, contract.SEARCH_WORDS)
    }
    place_in_search = tf.ragged.range(inputs[contract.SEARCH_ITEM_COUNTS].values).flat_values
    found = tf.boolean_mask(strings[contract.SEARCH_ITEMS], place_in_search < custom_config["items_per_search"])
    items = tf.concat([strings[contract.REC_ITEMS], found], axis=0)
    item_ids = _id_maker(contract.ITEM_VOCABULARY, items, custom_config)
    makers = {
        **dict.fromkeys(_ITEM_FEATURES, item_ids),
        contract.USER: _id_maker(contract.USER_VOCABULARY, strings[contract.USER], custom_config),
        contract.SEARCH_WORDS: _id_maker(contract.WORD_VOCABULARY, strings[contract.SEARCH_WORDS], custom_config),
    }
    outputs = {
        feature: inputs[feature].with_values(ids(strings[feature])).to_sparse() for feature, ids in makers.items()
    }
    outputs.update({feature: inputs[feature].to_sparse() for feature in _INTEGER_FEATURES})
    return outputs


def _id_maker(vocabulary: str, counted: tf.Tensor, custom_config: dict[str, Any]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from strings to the ids of one table, int64; `counted` are the strings that make its vocabulary."""
    limit = custom_config[f"max_{vocabulary}"]
    if custom_config[vocabulary] == HASH:
        return lambda strings: tft.hash_strings(strings, limit) + contract.FIRST_KNOWN_ID
    entries = tft.vocabulary(_as_line(counted), top_k=limit, vocab_filename=vocabulary)

    def look_up(strings: tf.Tensor) -> tf.Tensor:
        indices = tft.apply_vocabulary(_as_line(strings), entries, default_value=-1)
        unknown = tf.constant(contract.UNKNOWN_ID, tf.int64)
        return tf.where(indices < 0, unknown, indices + contract.FIRST_KNOWN_ID)

    return look_up


def _as_line(strings: tf.Tensor) -> tf.Tensor:
    """Strings as they stand in a vocabulary file, one a line: what would end the line is escaped, and the escape.

    tft leaves strings with a line feed or a carriage return out of a text file. Its `tfrecord_gzip` keeps them, but is
    read by a data set in the servable's graph, which no other operation there needs, and ServableCheck refuses.
    """
    for pattern, escaped in ((r"\\", r"\\\\"), (r"\n", r"\\n"), (r"\r", r"\\r")):
        strings = tf.strings.regex_replace(strings, pattern, escaped)
    return strings


def from_line(lines: tf.Tensor) -> tf.Tensor:
    """The strings that stand in lines of a vocabulary file."""
    # While other escapes are read, a line feed, which no line holds, begins what stands for a backslash or a line feed.
    replacements = ((r"\\\\", "\n0"), (r"\\r", "\r"), (r"\\n", "\n1"), ("\n0", r"\\"), ("\n1", "\n"))
    for pattern, string in replacements:
        lines = tf.strings.regex_replace(lines, pattern, string)
    return lines
