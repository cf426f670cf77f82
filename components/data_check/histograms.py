"""Values of integer features, and numbers of values in an Example, as histograms that TFDV can compare."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0.statistics_pb2 import CommonStatistics, Histogram
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics as Feature


def common_statistics(feature: Feature) -> CommonStatistics:
    """What features of every kind have."""
    return getattr(feature, feature.WhichOneof("stats")).common_stats


def of_values(feature: Feature) -> Histogram:
    """Quantiles of an integer feature's values."""
    [quantiles] = [one for one in feature.num_stats.histograms if one.type == Histogram.QUANTILES]
    return quantiles


def of_lengths(feature: Feature) -> Histogram:
    """Quantiles of the number of a feature's values in an Example."""
    return common_statistics(feature).num_values_histogram


def binned(name: str, one: Histogram, other: Histogram) -> tuple[Feature, Feature]:
    """Numeric features with these quantiles, over the same bins.

    TFDV's own are bins of one width from least to most. Of a constant that is a bin without width, which TFDV finds at
    the greatest distance from anything but itself; of a long tail it is one bin for almost everything. So these are cut
    where either side has a quantile, and each holds a fair part of the values. A quantile counts as spread evenly.

    Args:
        name: of the new features.
        one, other: quantiles of integers.
    """
    sides = [
        np.array([(bucket.low_value, bucket.high_value, bucket.sample_count) for bucket in side.buckets])
        for side in (one, other)
    ]
    edges = np.unique(np.concatenate([quantiles[:, :2].ravel() for quantiles in sides]))
    edges = np.append(edges, edges[-1] + 1)  # the greatest integer has a bin of its own
    first, second = (_numeric(name, edges, _counts(quantiles, edges)) for quantiles in sides)
    return first, second


def _counts(quantiles: npt.NDArray[Any], edges: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values in each bin, from the low end, the high end and the number of each quantile."""
    low, high, number = quantiles.T
    begin, end, width = edges[:-1, None], edges[1:, None], high - low
    # A quantile of one value lies in the bin that begins there; another is shared out over the bins that it covers.
    covered = np.clip(np.minimum(end, high) - np.maximum(begin, low), 0, None) / np.where(width > 0, width, 1)
    return np.where(width > 0, covered, (begin <= low) & (low < end)) @ number


def _numeric(name: str, edges: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Feature:
    feature = Feature(type=Feature.FLOAT)
    feature.path.step.append(name)
    common = feature.num_stats.common_stats
    common.num_non_missing = common.tot_num_values = round(counts.sum())
    common.min_num_values = common.max_num_values = 1
    histogram = feature.num_stats.histograms.add(type=Histogram.STANDARD)
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return feature
