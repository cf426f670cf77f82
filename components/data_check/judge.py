"""From anomalies and measurements to a verdict."""

import dataclasses
from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.common.verdict import Verdict
from components.data_check.comparison import MEASURE_NAMES, Measurement

GATE = "DataCheck"
_VERBS = {"drift": "drifted", "skew": "is skewed against serving"}


def data_verdict(
    schema_anomalies: Mapping[str, anomalies_pb2.Anomalies],
    measurements: Sequence[Measurement],
    notes: Sequence[str] = (),
    bad_rows: Sequence[str] = (),
) -> Verdict:
    """Stop the push for too many bad rows, every anomaly that TFDV calls an error, and every distance too far.

    Args:
        schema_anomalies: by the name of what was validated, such as a split.
        measurements: of drift and skew.
        notes: what was not checked, and why.
        bad_rows: files with too many of them, a line each.
    """
    errors: list[str] = []
    warnings: list[str] = []
    for place, anomalies in schema_anomalies.items():
        infos = {**anomalies.anomaly_info}
        if anomalies.HasField("dataset_anomaly_info"):
            infos["the data set"] = anomalies.dataset_anomaly_info
        for name, info in sorted(infos.items()):
            is_error = info.severity == anomalies_pb2.AnomalyInfo.ERROR
            (errors if is_error else warnings).append(f"{name} in {place}: {info.description}")
    return Verdict(
        GATE,
        reasons=(*bad_rows, *errors, *(_reason(one) for one in measurements if one.exceeded)),
        notes=(*warnings, *notes),
        detail={"measurements": [dataclasses.asdict(one) for one in measurements]},
    )


def _reason(one: Measurement) -> str:
    verb = _VERBS[one.kind]
    if one.value is None:
        return f"{one.feature} {verb}: one side has no values"
    return f"{one.feature} {verb}: {MEASURE_NAMES[one.measure]} {one.value:.3g} > {one.threshold:g}"
