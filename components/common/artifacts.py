"""The artifact types of this project; the components that write and read them need not know each other.

Kubeflow finds a type by its `TYPE_NAME`, see `components/__init__.py`.
"""

from tfx import types


class LogReport(types.Artifact):
    """Counts of a log and the rows set aside; `log_report.json` in its uri holds them."""

    TYPE_NAME = "components.LogReport"


class Candidates(types.Artifact):
    """Exact candidates of all requests; `candidates-*.parquet` in its uri, if they were asked for."""

    TYPE_NAME = "components.Candidates"


class GateVerdict(types.Artifact):
    """`verdict.json`, and the custom property `passed`, 1 or 0."""

    TYPE_NAME = "components.GateVerdict"


class Ranks(types.Artifact):
    """`ranks.parquet`, as `components.evaluation.request_ranks.RequestRanks` reads it."""

    TYPE_NAME = "components.Ranks"


class RunPage(types.Artifact):
    """`run.html` and `run.md`, the page of a run, `run.json`, its figures, and what else `lcr-ser` reads."""

    TYPE_NAME = "components.RunPage"


class KeptStatistics(types.Artifact):
    """Says by its custom property `kept`, 1 or 0, whether anything was pushed; without an output nothing is cached."""

    TYPE_NAME = "components.KeptStatistics"
