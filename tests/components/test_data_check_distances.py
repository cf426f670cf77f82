"""DataCheck's distances: TFDV's, on statistics of real Examples, against values by hand and by SciPy."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from scipy.spatial.distance import jensenshannon

from components.data_check.comparison import measure_distances
from components.data_check.histograms import binned, of_lengths
from components.data_check.settings import DataCheckSettings
from tests.support.in_memory_statistics import statistics
from tests.support.transform_graph import BEAM_ARGUMENTS, example


def statistics_of(*examples):
    """Statistics of Examples, each given by its lists."""
    return statistics(example(**one) for one in examples)


def words(**counts):
    """An Example whose search words occur so often."""
    return {"search_words": [word for word, count in counts.items() for _ in range(count)]}


def test_l_infinity_and_divergence_of_strings():
    current, control = statistics_of(words(red=6, blue=2)), statistics_of(words(red=1, blue=2), words(green=1))
    infinity, divergence = measure_distances(
        current, control, {"search_words": {"infinity_norm": 0.4, "jensen_shannon": 0.4}}, "drift"
    )
    # Shares: red 3/4 and 1/4, blue 1/4 and 2/4, green 0 and 1/4.
    assert infinity.value == pytest.approx(0.5)
    assert divergence.value == pytest.approx(jensenshannon([3, 1, 0], [1, 2, 1], base=2) ** 2)
    assert infinity.exceeded
    assert "red" in infinity.description
    assert not divergence.exceeded


@pytest.mark.parametrize("kind", ["drift", "skew"])
def test_equal_data_is_at_distance_zero_by_either_comparator(kind):
    data = statistics_of(words(red=3, blue=2))
    [one] = measure_distances(data, data, {"search_words": {"infinity_norm": 0.0}}, kind)
    assert (one.kind, one.value, one.exceeded) == (kind, 0.0, False)


def test_numbers_are_compared_by_their_histograms():
    current, control = (statistics_of({"search_word_counts": counts}) for counts in ([1] * 80, [1] * 40 + [11] * 40))
    [one] = measure_distances(current, control, {"search_word_counts": {"jensen_shannon": 0.1}}, "skew")
    assert one.value == pytest.approx(jensenshannon([1, 0], [1, 1], base=2) ** 2, abs=0.1)


def lengths(*numbers):
    return [{"rec_items": ["a"] * number} for number in numbers]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([3] * 20, [3] * 7, 0.0),
        ([0] * 10, [7] * 10, 1.0),
        ([2] * 20, [2] * 10 + [9] * 10, jensenshannon([1, 0], [1, 1], base=2) ** 2),
    ],
)
def test_lengths_of_histories(one, other, expected):
    [found] = measure_distances(
        statistics_of(*lengths(*one)),
        statistics_of(*lengths(*other)),
        {"rec_items.length": {"jensen_shannon": 0.1}},
        "drift",
    )
    assert found.value == pytest.approx(expected, abs=0.1)  # a quantile that holds both lengths is spread out


def test_every_example_is_counted_in_one_bin():
    random = np.random.default_rng(0)
    sides = [statistics_of(*lengths(*random.poisson(mean, 60))).datasets[0].features[0] for mean in (3, 9)]
    for feature in binned("length", *map(of_lengths, sides)):
        buckets = feature.num_stats.histograms[0].buckets
        assert sum(bucket.sample_count for bucket in buckets) == pytest.approx(60)
        assert [bucket.high_value for bucket in buckets[:-1]] == [bucket.low_value for bucket in buckets[1:]]


def test_values_on_one_side_only_are_an_anomaly_and_on_none_are_not():
    full, empty = statistics_of(words(red=1)), statistics_of({"search_words": [], "user": ["u"]})
    comparators = {"search_words": {"infinity_norm": 0.9}}
    for sides in ((full, empty), (empty, full)):
        [one] = measure_distances(*sides, comparators, "drift")
        assert one.value is None
        assert one.exceeded
    assert measure_distances(empty, empty, comparators, "drift") == []


@pytest.mark.slow
@pytest.mark.long
def test_only_a_thousand_values_are_seen(tmp_path):
    """What docs say of ids: two sets without a common value beyond the first thousand are equal to TFDV."""
    common = {f"item {number:04}": 2 for number in range(1000)}
    sides = []
    for side in "ab":  # by Beam, as in the pipeline: in memory the most frequent values are estimated
        path, rare = str(tmp_path / side), {f"{side} {number}": 1 for number in range(1000)}
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(example(rec_items=words(**common, **rare)["search_words"]))
        options = beam.options.pipeline_options.PipelineOptions(BEAM_ARGUMENTS)
        sides.append(tfdv.generate_statistics_from_tfrecord(path, pipeline_options=options))
    [found] = measure_distances(*sides, {"rec_items": {"jensen_shannon": 0.1}}, "drift")
    assert found.value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("comparators", "message"),
    [
        ({"serch_words": {"infinity_norm": 0.1}}, "should name features of a request"),
        ({"label": {"jensen_shannon": 0.1}}, "should name features of a request"),
        ({"rec_times": {"jensen_shannon": 0.1}}, "should name features of a request"),  # they drift by their nature
        ({"rec_items.length": {"infinity_norm": 0.1}}, "should measure rec_items.length by jensen_shannon"),
        ({"search_word_counts": {"infinity_norm": 0.1}}, "should measure search_word_counts by jensen_shannon"),
        ({"search_words": {"jensen_shannon": 1.5}}, "thresholds from 0 to 1"),
    ],
)
def test_wrong_comparators_are_refused(comparators, message):
    with pytest.raises(ValueError, match=message):
        DataCheckSettings(skew=comparators)
