"""A small model with random weights behind the servable's own graph, exported once."""

import numpy as np
import tensorflow as tf

from components.servable.saving import describe, save
from components.servable.servable import Servable
from components.transform.vocabularies import table_sizes
from model.config import LcrSerConfig
from model.lcr_ser import LcrSer
from tests.support.checkable_servable import example
from tests.support.products_of import products
from tests.support.transform_graph import example as timeline
from tests.support.transform_graph import write_transform_graph

VOCABULARY = {
    "items": "vocabulary",
    "users": "vocabulary",
    "words": "hash",
    "max_items": None,
    "max_users": None,
    "max_words": 10,
}
CATALOGUE = ["a", "b", "c", "d", *(f"further {number}" for number in range(87))]
"""Of 91 items: more than any other size in the servable, fewer than `recommend` may be asked for."""
TRAIN = [
    timeline(
        user=["u1"],
        rec_items=[item for item in CATALOGUE if item != "d"],
        rec_searches_before=[int(place > 0) for place in range(90)],
        rec_is_target=[int(place > 0) for place in range(90)],
        search_words=["red"],
        search_word_counts=[1],
        search_items=["d"],
        search_item_counts=[1],
    )
]
SHAPE = {
    "dim": 4,
    "rec_length": 3,
    "search_length": 2,
    "words_per_search": 2,
    "items_per_search": 1,
    "mlp_units": [4],
    "reasoning_steps": 1,
    "retrieval": True,
}
RECORDS = [
    # More clicks, searches, words and clicked items than the model looks at.
    example(
        "u1",
        ["a", "b", "c", "d"],
        [(["red"], []), (["blue", "shoe", "tall"], ["a", "b"]), (["red"], ["c"])],
        ["a", "c", "never seen"],
        label=1,
    ),
    example("u2", [], [], ["d", "a"], label=0),
    example("u1", ["never seen"], [([], ["a"])], ["a"], label=0),
    example("u3", ["c"], [(["tall"], ["b"])], ["b", "c", "d", "a"], label=2),
]


class SmallServable:
    """The servable and its parts; `save` writes it, as the Trainer does or in another way."""

    def __init__(self, folder):
        self.transform = write_transform_graph(str(folder / "graph"), VOCABULARY, TRAIN)
        self.graph_dir = str(folder / "graph")
        self.model = LcrSer(LcrSerConfig(**SHAPE, **table_sizes(self.transform, VOCABULARY)))
        random = np.random.default_rng(3)
        for variable in self.model.trainable_variables:
            variable.assign(random.normal(scale=0.3, size=variable.shape))
        with products() as self.products:
            self.servable = Servable(self.model, self.transform)  # its functions know the model by a weak reference
            self.signatures = self.servable.signatures()

    def save(self, directory, how=save):
        how(self.servable, str(directory), signatures=self.signatures)
        describe(str(directory), self.model.config, VOCABULARY, "code", mark=self.servable.fingerprint)
        return str(directory)

    def save_as_keras_does(self, directory):
        """With Keras's own export of variables, which restores copies that no function reads."""
        return self.save(directory, tf.saved_model.save)
