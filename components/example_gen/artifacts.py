"""The artifact types of ExampleGen beside its Examples."""

from tfx import types


class LogReport(types.Artifact):
    """Counts of a log and the rows set aside; `log_report.json` in its uri holds them."""

    TYPE_NAME = "LogReport"


class Candidates(types.Artifact):
    """Exact candidates of all requests; `candidates-*.parquet` in its uri, if they were asked for."""

    TYPE_NAME = "Candidates"
