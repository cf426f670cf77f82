"""A small SavedModel with all signatures of the servable, whose scores NumPy can compute, and its faults."""

import farmhash
import numpy as np
import tensorflow as tf

BUCKETS = 1000
FIRST_TIME = 1_714_543_200_000
CATALOGUE = ["a", "b", "c", "d", "e"]
_TEXTS = {"user": 1, "rec_items": 2, "search_words": 3, "search_items": 3}


def example(user="u", rec_items=(), searches=(), candidates=("a", "b"), label=0, stored=False):
    """A request Example; a search is (words, items). A stored one has times."""

    def strings(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))

    def numbers(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    counts = {"rec_times": len(rec_items), "search_times": len(searches)} if stored else {}
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                **{name: numbers(range(FIRST_TIME, FIRST_TIME + count)) for name, count in counts.items()},
                "user": strings([user]),
                "rec_items": strings(rec_items),
                "candidates": strings(candidates),
                "search_words": strings([word for words, _ in searches for word in words]),
                "search_word_counts": numbers([len(words) for words, _ in searches]),
                "search_items": strings([item for _, items in searches for item in items]),
                "search_item_counts": numbers([len(items) for _, items in searches]),
                "label": numbers([label]),
            }
        )
    ).SerializeToString()


def expected_scores(user, clicks, words, items, candidates):
    """(bucket of the candidate) / 100 + (bucket of the user) / 100 + clicks + 2 words + 3 items of searches."""

    def share(text):
        return farmhash.fingerprint64(text) % BUCKETS / 100

    return np.array([share(one) + share(user) + clicks + 2 * words + 3 * items for one in candidates], np.float32)


def _share(text):
    return tf.cast(tf.strings.to_hash_bucket_fast(text, BUCKETS), tf.float32) / 100


def _count(text):
    return tf.reduce_sum(tf.cast(tf.reshape(text, [tf.shape(text)[0], -1]) != "", tf.float32), 1)


class Toy(tf.Module):
    """One fault, or none: `nan`, `reversed`, `rank_scores`, `rank_ranks`, `rank_eval`, `python`, `file`, `state`,
    `recommend_scores`, `recommend_clicked`, `recommend_nothing`, `explain_score`, `explain_weights`, `explain_nothing`,
    `explain_nan`."""

    def __init__(self, fault=None):
        super().__init__()
        self.fault = fault
        self.one = tf.Variable(float("nan") if fault == "nan" else 1.0)

    def _encode(self, user, rec_items, search_words, search_items):
        history = _count(rec_items) + 2 * _count(search_words) + 3 * _count(search_items)
        spare = tf.fill([tf.shape(user)[0]], float("nan") if self.fault == "state" else 0.0)
        return {"of_history": (_share(user) + history) * self.one, "spare": spare}

    def _score(self, candidates, of_history, spare):
        sign = -1 if self.fault == "reversed" else 1
        scores = tf.where(candidates == "", tf.float32.min, sign * (_share(candidates) + of_history[:, None]))
        ranks = tf.shape(scores)[1] - tf.reduce_sum(tf.cast(scores[:, None, :] < scores[:, :, None], tf.int32), 2)
        return {"scores": scores, "ranks": ranks}

    def _rank(self, user, rec_items, search_words, search_items, candidates):
        out = self._score(candidates, **self._encode(user, rec_items, search_words, search_items))
        if self.fault == "rank_scores":
            out["scores"] += 1e-3
        if self.fault == "rank_ranks":
            out["ranks"] += 1
        return out

    def _recommend(self, user, rec_items, search_words, search_items, k, leave_out_clicked):
        clicked = tf.reduce_any(tf.constant(CATALOGUE)[:, None] == rec_items[:, None], 2) & leave_out_clicked[:, None]
        if self.fault == "recommend_clicked":
            clicked = tf.zeros_like(clicked)
        if self.fault == "recommend_nothing":
            clicked = tf.ones_like(clicked)
        items = tf.where(clicked, "", CATALOGUE)
        scores, places = tf.math.top_k(
            self._score(items, **self._encode(user, rec_items, search_words, search_items))["scores"],
            tf.minimum(k[0], len(CATALOGUE)),
        )
        return {
            "items": tf.gather(items, places, batch_dims=1),
            "scores": scores + 1e-3 if self.fault == "recommend_scores" else scores,
        }

    def _explain(self, user, rec_items, search_words, search_items, item):
        """Every click and every search weighs the same."""
        scores = self._score(item[:, None], **self._encode(user, rec_items, search_words, search_items))["scores"]
        clicks = tf.cast(rec_items != "", tf.float32)
        searches = tf.cast(tf.reduce_any(search_words != "", 2) | tf.reduce_any(search_items != "", 2), tf.float32)
        events = tf.reduce_sum(clicks, 1, keepdims=True) + tf.reduce_sum(searches, 1, keepdims=True)
        whole = {"explain_weights": 0.9, "explain_nothing": 0.0, "explain_nan": float("nan")}.get(self.fault, 1.0)
        return {
            "score": scores[:, 0] + (1e-3 if self.fault == "explain_score" else 0.0),
            "rec_weights": tf.math.divide_no_nan(whole * clicks, events),
            "search_weights": tf.math.divide_no_nan(whole * searches, events),
            "rec_steps": tf.zeros([tf.shape(user)[0], 0]),
            "search_steps": tf.zeros([tf.shape(user)[0], 0]),
        }

    def _scores_of_examples(self, examples):
        spec = {name: tf.io.RaggedFeature(tf.string) for name in (*_TEXTS, "candidates")}
        raw = {name: value.to_tensor() for name, value in tf.io.parse_example(examples, spec).items()}
        raw["user"] = raw["user"][:, 0]
        state = self._encode(*(raw[name] for name in _TEXTS))
        return self._score(raw["candidates"], **state)["scores"]

    def _default(self, examples):
        scores = self._scores_of_examples(examples)
        if self.fault == "python":
            scores = tf.numpy_function(lambda values: values, [scores], tf.float32)
        if self.fault == "file":
            with tf.control_dependencies([tf.io.write_file("copied", tf.strings.as_string(scores[0, 0]))]):
                scores = tf.identity(scores)
        return {"scores": scores}

    def _rank_eval(self, examples):
        scores = self._scores_of_examples(examples)
        label = tf.io.parse_example(examples, {"label": tf.io.FixedLenFeature([1], tf.int64)})["label"]
        positive = tf.gather(scores, label, batch_dims=1)
        return {
            "rank": (tf.shape(scores)[1] - tf.reduce_sum(tf.cast(scores < positive, tf.int32), 1))[:, None]
            + int(self.fault == "rank_eval")
        }

    def signatures(self):
        history = [tf.TensorSpec([None] * rank, tf.string, name) for name, rank in _TEXTS.items()]
        candidates = tf.TensorSpec([None, None], tf.string, "candidates")
        examples = tf.TensorSpec([None], tf.string, "examples")
        state = [tf.TensorSpec([None], tf.float32, name) for name in ("of_history", "spare")]
        wanted = [tf.TensorSpec([None], tf.int32, "k"), tf.TensorSpec([None], tf.bool, "leave_out_clicked")]
        item = tf.TensorSpec([None], tf.string, "item")
        return {
            name: tf.function(function, autograph=False).get_concrete_function(*specs)
            for name, function, specs in (
                ("serving_default", self._default, [examples]),
                ("rank", self._rank, [*history, candidates]),
                ("encode", self._encode, history),
                ("score", self._score, [candidates, *state]),
                ("recommend", self._recommend, [*history, *wanted]),
                ("explain", self._explain, [*history, item]),
                ("rank_eval", self._rank_eval, [examples]),
            )
        }


def export(path, fault=None, without=()):
    toy = Toy(fault)
    signatures = {name: function for name, function in toy.signatures().items() if name not in without}
    tf.saved_model.save(toy, str(path), signatures=signatures)
    return str(path)
