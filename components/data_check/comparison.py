"""Measures how far two sets of Examples are apart, by TFDV's comparators."""

import dataclasses
from typing import Literal

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics as Feature

from components.data_check.histograms import binned, common_statistics, of_lengths, of_values
from components.data_check.settings import JENSEN_SHANNON, L_INFINITY, LENGTH, Comparators

MEASURE_NAMES = {L_INFINITY: "L-infinity", JENSEN_SHANNON: "Jensen-Shannon"}
_MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: L_INFINITY,
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: JENSEN_SHANNON,
}
_TYPES = {Feature.FLOAT: schema_pb2.FLOAT, Feature.STRING: schema_pb2.BYTES}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The distance of one feature.

    Attributes:
        kind: "drift" or "skew".
        feature, measure: what was compared, and how.
        value: from 0, the same, to 1; None where one side has no value at all and the other has.
        threshold: above which it is an anomaly.
        description: TFDV's, of an anomaly; it names the value that differs most.
    """

    kind: str
    feature: str
    measure: str
    value: float | None
    threshold: float
    description: str = ""

    @property
    def exceeded(self) -> bool:
        """Whether this is an anomaly."""
        return self.value is None or self.value > self.threshold


def measure_distances(
    current: Statistics, control: Statistics, comparators: Comparators, kind: Literal["drift", "skew"]
) -> list[Measurement]:
    """Compare the features that comparators name.

    Args:
        current: statistics of this run's split.
        control: of the earlier run's (drift), or of served requests (skew).
        comparators: thresholds, by feature and measure.
        kind: which of TFDV's comparators to set.

    Returns:
        One measurement for each feature and measure, in the order of `comparators`; none for a feature that is empty
        on both sides.
    """
    pairs = {feature: _pair(current, control, feature) for feature in comparators}
    both = {feature: pair for feature, pair in pairs.items() if all(pair)}
    anomalies = _validate(both, comparators, kind)
    found = {
        (info.path.step[0], _MEASURES[measurement.type]): measurement.value
        for info in anomalies.drift_skew_info
        for measurement in getattr(info, f"{kind}_measurements")
    }
    return [
        Measurement(
            kind,
            feature,
            measure,
            found[feature, measure] if feature in both else None,
            threshold,
            anomalies.anomaly_info[feature].description if feature in anomalies.anomaly_info else "",
        )
        for feature, thresholds in comparators.items()
        if any(pairs[feature])
        for measure, threshold in thresholds.items()
    ]


def _pair(current: Statistics, control: Statistics, name: str) -> tuple[Feature | None, Feature | None]:
    """A feature on both sides, ready for TFDV; None where it has no values. A length is there without values too."""
    find = _find if name.endswith(LENGTH) else _with_values
    one, other = (find(statistics, name.removesuffix(LENGTH)) for statistics in (current, control))
    if one is None or other is None:
        return one, other
    if name.endswith(LENGTH):
        return binned(name, of_lengths(one), of_lengths(other))
    strings = [side.type == Feature.STRING for side in (one, other)]
    if not any(strings):
        return binned(name, of_values(one), of_values(other))
    # Strings on one side alone are an anomaly of the schema, and here as good as no values.
    return one, (other if all(strings) else None)


def _find(statistics: Statistics, name: str) -> Feature | None:
    return next((feature for feature in statistics.datasets[0].features if feature.path.step[0] == name), None)


def _with_values(statistics: Statistics, name: str) -> Feature | None:
    feature = _find(statistics, name)
    return feature if feature and common_statistics(feature).tot_num_values else None


def _validate(
    pairs: dict[str, tuple[Feature, Feature]], comparators: Comparators, kind: str
) -> anomalies_pb2.Anomalies:
    """What TFDV says of these features with a schema that holds nothing but comparators."""
    schema, sides = schema_pb2.Schema(), (Statistics(), Statistics())
    for side in sides:
        side.datasets.add(num_examples=1)
    for name, pair in pairs.items():
        for side, feature in zip(sides, pair, strict=True):
            side.datasets[0].features.append(feature)
        wanted = getattr(schema.feature.add(name=name, type=_TYPES[pair[0].type]), f"{kind}_comparator")
        for measure, threshold in comparators[name].items():
            one = wanted.infinity_norm if measure == L_INFINITY else wanted.jensen_shannon_divergence
            one.threshold = threshold
    control = {"drift": "previous_statistics", "skew": "serving_statistics"}[kind]
    return tfdv.validate_statistics(sides[0], schema, **{control: sides[1]})
