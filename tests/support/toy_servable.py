"""A SavedModel with the servable's signatures whose answers can be computed without TensorFlow."""

import farmhash
import tensorflow as tf

BUCKETS = 1000
NOBODY = "nobody"
"""The toy cannot score this user."""


def bucket(text):
    return farmhash.fingerprint64(text) % BUCKETS


def expected_score(version, request, item):
    """What the toy answers: it looks at the newest click, the newest search's first word and the number of clicks."""
    newest = bucket(request.rec_items[-1] if request.rec_items else "")
    word = bucket(request.searches[-1].words[0] if request.searches else "")
    clicks = sum(len(search.items) for search in request.searches)
    return bucket(item) + 0.5 * newest + 0.25 * word + 2.0 * clicks + 1e4 * version


def _hashed(text):
    return tf.cast(tf.strings.to_hash_bucket_fast(text, BUCKETS), tf.float32)


class Toy(tf.Module):
    def __init__(self, version):
        super().__init__()
        self.version = tf.Variable(float(version))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user"),
            tf.TensorSpec([None, None], tf.string, "rec_items"),
            tf.TensorSpec([None, None, None], tf.string, "search_words"),
            tf.TensorSpec([None, None, None], tf.string, "search_items"),
            tf.TensorSpec([None, None], tf.string, "candidates"),
        ]
    )
    def rank(self, user, rec_items, search_words, search_items, candidates):
        clicks = tf.reduce_sum(tf.cast(search_items != "", tf.float32), axis=(1, 2))
        history = 0.5 * _hashed(rec_items[:, -1]) + 0.25 * _hashed(search_words[:, -1, 0]) + 2.0 * clicks
        scores = _hashed(candidates) + history[:, None] + 1e4 * self.version
        scores = tf.where(candidates == "", -1e9, scores)
        scores = tf.where(user[:, None] == NOBODY, float("nan"), scores)
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        return {"scores": scores, "ranks": tf.argsort(order) + 1}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "rec_items"),
            tf.TensorSpec([None, None], tf.string, "candidates"),
        ]
    )
    def rank_by_clicks(self, rec_items, candidates):
        """As a model that reads clicks alone."""
        scores = _hashed(candidates) + 0.5 * _hashed(rec_items[:, -1:]) + 1e4 * self.version
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        return {"scores": scores, "ranks": tf.argsort(order) + 1}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "rec_items"),
            tf.TensorSpec([None, None], tf.int64, "rec_times"),
            tf.TensorSpec([None, None], tf.string, "candidates"),
        ]
    )
    def rank_by_times(self, rec_items, rec_times, candidates):
        """As a model that reads when clicks were."""
        late = tf.cast(rec_times[:, -1:] - 1_764_036_000_000, tf.float32)
        scores = _hashed(candidates) + late + 0.0 * _hashed(rec_items[:, -1:])
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        return {"scores": scores, "ranks": tf.argsort(order) + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples):
        features = tf.io.parse_example(examples, {"candidates": tf.io.RaggedFeature(tf.string)})
        return {"scores": _hashed(features["candidates"].to_tensor()) + 1e4 * self.version}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "ids")])
    def lookup(self, ids):
        return {"rows": tf.gather(tf.constant([1.0, 2.0]), ids)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "ids")])
    def few(self, ids):
        count = tf.size(ids)
        refused = tf.strings.format("`ids` should hold at most 3 ids. Received: {}.", count)
        with tf.control_dependencies([tf.debugging.Assert(count <= 3, [refused, "Ask again."])]):
            return {"rows": ids + 1}


def export(version, path, signatures=("rank", "serving_default", "lookup", "few")):
    """Each of `signatures` is a function of the toy, or `name:function`."""
    toy = Toy(version)
    functions = {name.partition(":")[0]: getattr(toy, name.rpartition(":")[2]) for name in signatures}
    tf.saved_model.save(toy, str(path), signatures=functions)
