"""The client of an application: gRPC and NumPy, without TensorFlow. What an application needs is imported from here."""

from serving.client.aio import AsyncRankingClient
from serving.client.answer import (
    Explanation,
    RankedCandidate,
    RankedCandidates,
    Recommendation,
    Recommendations,
    ScoredCandidates,
    State,
)
from serving.client.client import RankingClient
from serving.client.connection import Tls
from serving.client.exchange import RankingError, Retries
from serving.client.metrics import ClientMetrics
from serving.client.request import History, RankRequest, Search
from serving.client.status import VersionState

__all__ = [
    "AsyncRankingClient",
    "ClientMetrics",
    "Explanation",
    "History",
    "RankRequest",
    "RankedCandidate",
    "RankedCandidates",
    "RankingClient",
    "RankingError",
    "Recommendation",
    "Recommendations",
    "Retries",
    "ScoredCandidates",
    "Search",
    "State",
    "Tls",
    "VersionState",
]
