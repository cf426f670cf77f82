"""Supervised losses, Eq. (9), (11) and (12)."""

import math


def cosine_distance(a, b):
    """1 - cos(a, b)."""
    return 1.0 - sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))


def euclidean_distance(a, b):
    """|a - b|."""
    return math.sqrt(sum((a - b) ** 2))


def contrastive_loss(target, crossed, plain, margin, distance):
    """L_TCL-S or L_TCL-R of Eq. (9) for one request.

    Args:
        target: e_v.
        crossed, plain: h^(K) with and without cross attention.
        margin: m.
        distance: "cosine" or "euclidean".
    """
    away = {"cosine": cosine_distance, "euclidean": euclidean_distance}[distance]
    return max(away(target, crossed) - away(target, plain) + margin, 0.0)


def recommendation_loss(pairs):
    """L_rec of Eq. (11): the mean over pairs (logit, label y) of the set D."""
    total = 0.0
    for logit, label in pairs:
        # log of the sigmoid of x is -log(1 + e^-x).
        log_probability, log_complement = -math.log1p(math.exp(-logit)), -math.log1p(math.exp(logit))
        total -= label * log_probability + (1 - label) * log_complement
    return total / len(pairs)


def squared_norm(arrays):
    """||Phi||^2 of Eq. (12)."""
    return sum(float((array**2).sum()) for array in arrays)


def total_loss(rec_loss, tcl_loss, norm, tcl_weight, l2_weight):
    """L_Total of Eq. (12)."""
    return rec_loss + tcl_weight * tcl_loss + l2_weight * norm
