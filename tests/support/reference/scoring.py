"""Preference score, Eq. (10), and the whole model from a request to its logits."""

import numpy as np

from tests.support.reference import aggregation, embedding, encoding, reasoning


def score(weights, user, search, rec, candidate):
    """The logit of Eq. (10): an MLP with ReLU over CONCAT(e_u, w_s, w_r, e_v)."""
    outputs = np.concatenate([user, search, rec, candidate])
    layer = 0
    while f"mlp/{layer}/kernel" in weights:
        outputs = encoding.dense(weights, f"mlp/{layer}", np.maximum(outputs, 0.0) if layer else outputs)
        layer += 1
    return outputs[0]


def reasoned(weights, request, *, num_steps, heads, post_norm, literal_eq5=False, noise=(0.0, 0.0), cross=True, **_):
    """Eq. (1) to (6): H_s, H_r, and h^(1) to h^(K) of search and of recommendation, each a list of vectors."""
    search = embedding.search_events(weights, request["searches"])
    rec = embedding.rec_events(weights, request["clicks"])
    search_states = encoding.encode(weights, "search", search, heads, post_norm)
    rec_states = encoding.encode(weights, "rec", rec, heads, post_norm)
    steps = [], []
    if num_steps:
        steps = reasoning.reason(
            weights,
            search,
            rec,
            reasoning.start(weights, "search", search_states) + noise[0],
            reasoning.start(weights, "rec", rec_states) + noise[1],
            num_steps=num_steps,
            heads=heads,
            post_norm=post_norm,
            literal_eq5=literal_eq5,
            cross=cross,
        )
    return search_states, rec_states, *steps


def rank(weights, request, states, *, aggregate="target", **_):
    """Logits of a request's candidates, Eq. (7), (8) and (10), from what `reasoned` gave."""
    search_states, rec_states, search_steps, rec_steps = states
    of_side = {
        "search": reasoning.all_states(search_states, search_steps),
        "rec": reasoning.all_states(rec_states, rec_steps),
    }
    user, logits = weights["users"][request["user"]], []
    for item in request["candidates"]:
        candidate = weights["items"][item]
        if aggregate == "target":
            pooled = {
                side: aggregation.attend_to_target(weights[f"{side}/att"], rows, candidate)
                for side, rows in of_side.items()
            }
        else:
            pooled = {side: aggregation.mean(rows, len(candidate)) for side, rows in of_side.items()}
        logits.append(score(weights, user, pooled["search"], pooled["rec"], candidate))
    return np.array(logits)


def logits(weights, request, noise=(0.0, 0.0), **settings):
    """Logits of a request's candidates, Eq. (1) to (10)."""
    return rank(weights, request, reasoned(weights, request, noise=noise, **settings), **settings)
