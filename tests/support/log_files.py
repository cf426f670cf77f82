"""Logs in memory as the files that Transform writes."""

import os

import numpy as np
import tensorflow as tf

from model.contract import CLICK_TARGET_FEATURES, SEARCH_TARGET_FEATURES


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values)) for name, values in features.items()
            }
        )
    ).SerializeToString()


def write(path, examples):
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for one in examples:
            writer.write(one)
    return str(path)


def write_split(directory, examples, files):
    """So many files of nearly the same number of Examples."""
    os.makedirs(directory)
    return [
        write(os.path.join(directory, f"transformed_examples-{number:05d}-of-{files:05d}.gz"), part)
        for number, part in enumerate(np.array_split(np.array(examples, object), files))
    ]


def timeline_examples(logs):
    """One for each user of `Timelines`."""
    for row in range(len(logs.users)):
        clicks, searches = (slice(*ends[row : row + 2]) for ends in (logs.rec_offsets, logs.search_offsets))
        yield example(
            **_history(logs, row),
            **{name: getattr(logs, name)[clicks] for name in CLICK_TARGET_FEATURES},
            **{name: getattr(logs, name)[searches] for name in SEARCH_TARGET_FEATURES},
        )


def request_examples(requests):
    """One for each of `Requests`."""
    for row in range(len(requests)):
        yield example(
            **_history(requests, row), candidates=requests.candidates[row], label=requests.label[row : row + 1]
        )


def _history(logs, row):
    clicks, searches = (slice(*ends[row : row + 2]) for ends in (logs.rec_offsets, logs.search_offsets))
    words, items = (slice(ends[searches.start], ends[searches.stop]) for ends in (logs.word_offsets, logs.item_offsets))
    return {
        "user": logs.users[row : row + 1],
        "rec_items": logs.rec_items[clicks],
        "rec_times": logs.rec_times[clicks],
        "search_words": logs.search_words[words],
        "search_word_counts": np.diff(logs.word_offsets)[searches],
        "search_items": logs.search_items[items],
        "search_item_counts": np.diff(logs.item_offsets)[searches],
        "search_times": logs.search_times[searches],
    }
