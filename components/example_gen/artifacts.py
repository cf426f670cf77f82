"""The artifact type of ExampleGen's report."""

from tfx import types


class LogReport(types.Artifact):
    """Counts of a log and the rows set aside; `log_report.json` in its uri holds them."""

    TYPE_NAME = "LogReport"
