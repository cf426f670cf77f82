"""Names of what is measured: metrics, and slices of the test requests."""

from collections.abc import Sequence

CANDIDATE, BASELINE, POPULARITY = "candidate", "baseline", "popularity"
"""Roles of the models that are measured: the new one, the last pushed one, and a ranking by clicks."""
ALL = "all"
SOME_SEARCHES, NO_SEARCHES = "searches: some", "searches: none"
POPULAR, RARE, NEW = "target: popular", "target: rare", "target: new"
CLICKS, SEARCHES = "clicks in history", "searches in history"
CLICK_BINS = (0, 1, 5, 10, 20)
SEARCH_BINS = (0, 1, 3, 10)
"""Least clicks or searches of each bin; the last one has no end."""


def role_titles(model: str) -> dict[str, str]:
    """What tables call the roles, in their order; `model` is the name of the candidate."""
    return {CANDIDATE: model, BASELINE: "last pushed model", POPULARITY: POPULARITY}


def metric_names(ks: Sequence[int]) -> list[str]:
    """HR@k and NDCG@k for each k, and MRR; without NDCG@1, which is HR@1."""
    return [*(f"HR@{k}" for k in sorted(ks)), *(f"NDCG@{k}" for k in sorted(ks) if k > 1), "MRR"]


def bin_names(title: str, begins: Sequence[int]) -> list[str]:
    """Names of the bins that begin at 0 and so on, as `clicks in history: 5 to 9`.

    Raises:
        ValueError: if the bins do not begin at 0 and ascend.
    """
    if sorted(set(begins)) != list(begins) or not begins or begins[0] != 0:
        raise ValueError(f"Bins should begin at 0 and ascend. Received: {list(begins)}.")
    names = [
        str(begin) if end == begin + 1 else f"{begin} to {end - 1}"
        for begin, end in zip(begins, begins[1:], strict=False)
    ]
    return [f"{title}: {name}" for name in (*names, f"{begins[-1]} or more")]


SLICES = (
    ALL,
    NO_SEARCHES,
    SOME_SEARCHES,
    *bin_names(CLICKS, CLICK_BINS),
    *bin_names(SEARCHES, SEARCH_BINS),
    POPULAR,
    RARE,
    NEW,
)
"""In the order of `components.evaluation.slices.slice_masks`."""
