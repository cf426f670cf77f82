"""Aggregation of H^(K): target-aware, Eq. (8), or the plain mean of Table 3 without TRA."""

import numpy as np

from tests.support.reference.encoding import softmax


def attend_to_target(kernel, states, candidate):
    """w of Eq. (8) with the bilinear score h W e_v / sqrt(d); zero where there is no state at all."""
    if not states:
        return np.zeros(len(candidate))
    shares = softmax([state @ kernel @ candidate / np.sqrt(len(candidate)) for state in states])
    return sum(share * state for share, state in zip(shares, states, strict=True))


def mean(states, dim):
    """The mean of the rows of H^(K), whatever the candidate; zero where there is no state at all."""
    return sum(states) / len(states) if states else np.zeros(dim)
