"""Latency and errors by signature, which TF Serving's own metrics do not tell apart, for Prometheus."""

from typing import Any

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class ClientMetrics:
    """Counts and times what clients send; several clients may share one. Wants the package `prometheus-client`.

    | metric | labels | counts |
    |---|---|---|
    | `lcr_ser_client_seconds` | `signature` | a histogram of the time of each attempt, answered or not |
    | `lcr_ser_client_attempts_total` | `signature`, `code` | attempts, by the gRPC status they ended with, or `OK` |
    | `lcr_ser_client_retries_total` | `signature` | attempts after the first one |

    Calls to no signature bear the name of their method, such as `GetModelMetadata`.

    Args:
        registry: of `prometheus_client`; None takes its global one.
    """

    def __init__(self, registry: Any = None) -> None:
        import prometheus_client  # an application without metrics goes without the package

        where: dict[str, Any] = {"registry": registry or prometheus_client.REGISTRY, "namespace": "lcr_ser_client"}
        self._seconds = prometheus_client.Histogram(
            "seconds", "Time of an attempt.", ["signature"], buckets=_BUCKETS, **where
        )
        self._attempts = prometheus_client.Counter(
            "attempts", "Attempts, by how they ended.", ["signature", "code"], **where
        )
        self._retries = prometheus_client.Counter("retries", "Attempts after the first one.", ["signature"], **where)

    def observe(self, signature: str, code: str, seconds: float) -> None:
        """An attempt ended."""
        self._seconds.labels(signature).observe(seconds)
        self._attempts.labels(signature, code).inc()

    def retried(self, signature: str) -> None:
        """An attempt will be made again."""
        self._retries.labels(signature).inc()
